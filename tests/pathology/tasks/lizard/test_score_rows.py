"""Rows of predictions.csv and the scores of them: their order, classes that are nowhere, and what is refused."""

from dataclasses import astuple

import numpy as np
import pytest
from nuclear_scores import CLASSES, SETTINGS, row
from pathology.contracts.errors import DataError
from pathology.contracts.lizard.evaluate import NucleiScoreRow
from pathology.contracts.lizard.patches import ALL_CLASSES
from pathology.metrics.centroids import paired_by_class
from pathology.metrics.panoptic import aji, score, score_classes
from pathology.nuclei.counts import central_counts
from pathology.tasks.lizard.rows import patch_rows
from pathology.tasks.lizard.scores import OF_CLASS, NucleiScores
from pathology.tasks.lizard.typed import matched_classification


def test_the_rows_of_a_patch(scored):
    name, source, true, predicted = scored[0]
    patch = patch_rows(name, source, true, predicted, CLASSES, central=32)
    assert [each.class_name for each in patch] == [*CLASSES, ALL_CLASSES]
    assert all((each.patch, each.source) == (name, source) for each in patch)
    *classes, whole = patch
    assert [(each.tp, each.fp, each.fn, each.iou_sum) for each in classes] == [
        (each.tp, each.fp, each.fn, each.iou_sum) for each in score_classes(true, predicted, 3)
    ]
    assert [each.true_count for each in classes] == central_counts(true, 3, 32).tolist()
    assert [each.predicted_count for each in classes] == central_counts(predicted, 3, 32).tolist()
    assert whole.true_count == sum(each.true_count for each in classes)
    assert whole.pixels_true == sum(each.pixels_true for each in classes) == (true[..., 0] > 0).sum()
    assert [each.aji_union for each in classes] == [0, 0, 0]
    jaccard = aji(true[..., 0], predicted[..., 0])
    assert (whole.aji_intersection, whole.aji_union) == (jaccard.intersection, jaccard.union)
    assert [[each.paired_6, each.paired_12] for each in patch] == paired_by_class(true, predicted, 3, (6, 12)).tolist()
    assert (whole.tp, whole.aji_union > whole.pixels_true) == (score(true[..., 0], predicted[..., 0]).tp, True)


def test_scores_outlive_the_table(rows, tmp_path):
    """predictions.csv as written and read gives the same scores, in any order of rows and whatever the seed for the estimates."""
    (tmp_path / "predictions.csv").write_bytes(NucleiScoreRow.table(reversed(rows)))
    again = NucleiScores.of(NucleiScoreRow.read(tmp_path / "predictions.csv"), CLASSES, **SETTINGS)
    first = NucleiScores.of(rows, CLASSES, **SETTINGS)
    assert NucleiScores.of(rows, CLASSES, **SETTINGS) == first
    for name, interval in first.intervals.items():
        other = again.intervals[name]
        assert astuple(interval)[:5] == pytest.approx(astuple(other)[:5], abs=1e-12)
    assert NucleiScores.of(rows, CLASSES, **SETTINGS | {"seed": 4}).intervals["bpq"].value == first.intervals["bpq"].value


def test_the_real_patches_against_themselves_and_against_nothing(shared_data):
    labels = np.load(shared_data / "nuclei" / "labels.npy", mmap_mode="r")
    classes = ("non_tumor", "tumor")
    pairs = [(f"s{index}-0000", f"s{index}", np.asarray(each)) for index, each in enumerate(labels)]
    same = NucleiScores.of([row for n, s, true in pairs for row in patch_rows(n, s, true, true, classes)], classes, **SETTINGS)
    assert all((each.value, each.lowest, each.highest, each.std) == (1.0, 1.0, 1.0, 0.0) for each in same.intervals.values())
    assert sum(each.true for each in same.by_class.values()) == sum(len(np.unique(each[..., 0])) - 1 for each in labels)
    rows = [row for n, s, true in pairs for row in patch_rows(n, s, true, np.zeros_like(true), classes)]
    nothing = NucleiScores.of(rows, classes, **SETTINGS)
    assert all(each.value == 0 for name, each in nothing.intervals.items() if name != "r2")
    assert nothing.intervals["r2"].value < 0


# Classes that are nowhere, and what is refused


def test_a_class_that_is_nowhere_has_no_score_and_takes_no_part(rows):
    """As if it had not been asked for; one that is only predicted scores 0 and counts."""
    more = [row(name, source, "absent") for name, source in {each.patch: each.source for each in rows}.items()]
    without, scores = (
        NucleiScores.of(rows, CLASSES, **SETTINGS),
        NucleiScores.of([*rows, *more], (*CLASSES, "absent"), **SETTINGS),
    )
    assert scores.intervals == without.intervals
    absent = scores.by_class["absent"]
    assert {getattr(absent, name) for name in (*OF_CLASS, "f1")} == {None}
    assert (absent.true, absent.predicted, absent.count_error) == (0, 0, 0)
    more[0] = row(more[0].patch, more[0].source, "absent", fp=1, counts=(0, 1))
    scores = NucleiScores.of([*rows, *more], (*CLASSES, "absent"), **SETTINGS)
    assert (scores.by_class["absent"].pq.value, scores.by_class["absent"].r2.value) == (0.0, 0.0)
    assert scores.intervals["mpq_plus"].value == pytest.approx(without.intervals["mpq_plus"].value * 3 / 4, abs=1e-12)
    assert scores.intervals["mpq"].value == without.intervals["mpq"].value  # never in the truth


def test_counts_that_do_not_vary():
    """Two nuclei on every patch: R² is 1 where all are counted and 0 otherwise, as scikit-learn has it."""

    from sklearn.metrics import r2_score

    def rows(called):
        return [
            row(f"p{n}", f"s{n}", kind, tp=2, iou_sum=1.6, counts=(2, scores))
            for n, scores in enumerate(called)
            for kind in ("a", ALL_CLASSES)
        ]

    for called in ([2, 2, 2], [2, 3, 2]):
        scores = NucleiScores.of(rows(called), ("a",), **SETTINGS)
        assert (
            scores.by_class["a"].r2.value
            == scores.intervals["r2"].value
            == r2_score([2, 2, 2], called)
            == float(called == [2, 2, 2])
        )


def test_nothing_found_is_zero_with_the_widest_interval():
    pooled, measures = matched_classification(np.zeros((3, 2, 2), int), ["a", "b", "b"], **SETTINGS)
    assert pooled.tolist() == [[0, 0], [0, 0]]
    assert {(each.value, each.low, each.high) for each in measures.values()} == {(0.0, 0.0, 1.0)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[1:], "crag_0-0000: there is no row 'round'"),
        (lambda rows: [*rows, rows[5]], "crag_1-0001: a second row 'oval'"),
        (lambda rows: [*rows, rows[5].model_copy(update={"class_name": "flat"})], "an unknown row 'flat'"),
        (lambda rows: [rows[0].model_copy(update={"source": "dpath_1"}), *rows[1:]], "from dpath_1 and from crag_0"),
        (lambda rows: [each for each in rows if each.source == "crag_0"], "1 source image"),
        (lambda rows: [each.model_copy(update={"tp": 0, "fn": 0}) for each in rows], "24 test patches has no nuclei"),
        (lambda rows: [], "0 test patches"),
    ],
)
def test_bad_tables(rows, change, words):
    with pytest.raises(DataError, match=words) as error:
        NucleiScores.of(change(rows), CLASSES, **SETTINGS)
    assert "\n" not in str(error.value)


def test_bad_classes_and_bad_maps(rows, scored):
    with pytest.raises(DataError, match="a class is called 'all'"):
        NucleiScores.of(rows, (*CLASSES, ALL_CLASSES), **SETTINGS)
    name, source, true, predicted = scored[0]
    with pytest.raises(ValueError, match="there are 2, 0 is background"):
        patch_rows(name, source, np.where(true > 0, 3, 0), predicted, CLASSES[:2])
    with pytest.raises(ValueError, match="of one patch"):
        patch_rows(name, source, true, predicted[:-1], CLASSES)
    with pytest.raises(DataError, match="1 source image"):
        matched_classification(np.ones((2, 3, 3), int), ["a", "a"], **SETTINGS)
