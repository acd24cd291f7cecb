"""Two models of nuclei on the same patches: values are those of each alone, and what is not comparable says why."""

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.tasks.lizard.comparison import LISTED, NucleiAnswers, compare_nuclei
from pathology.tasks.lizard.scores import NucleiScores

from tests.pathology.nuclear_scores import row

CLASSES = ("round", "oval")
DRAWS = {"resamples": 100, "confidence": 0.9, "seed": 3}


def rows_of(seed, rate, sources=22, patches=44):
    """A model that finds nuclei at such a rate; the truth is the same for every seed, and ``oval`` is in the first three sources alone."""
    truth, found = np.random.default_rng(0), np.random.default_rng(seed)
    rows = []
    for index in range(patches):
        source = index % sources
        true = [int(truth.integers(5, 20)), int(truth.integers(1, 6)) * (source < 3)]
        counts = [(tp := int(found.binomial(n, rate)), int(found.integers(0, 3)) * (n > 0), n - tp) for n in true]
        counts.append(tuple(sum(each) for each in zip(*counts, strict=True)))
        for kind, (tp, fp, fn) in zip((*CLASSES, "all"), counts, strict=True):
            pixels = {"pixels_both": 80 * tp, "pixels_true": 90 * (tp + fn), "pixels_predicted": 90 * (tp + fp)}
            jaccard = {"aji_intersection": 70 * tp, "aji_union": 100 * (tp + fn) + 50 * fp} if kind == "all" else {}
            paired = {"paired_6": tp, "paired_12": tp}
            name = f"s{source:02}-{index:04}"
            rows.append(
                row(name, f"s{source:02}", kind, tp, fp, fn, 0.75 * tp, (tp + fn, tp + fp), **pixels, **jaccard, **paired)
            )
    return rows


def answers(name, rows, **others):
    return NucleiAnswers(name=name, rows=rows, **{"learned": frozenset(), **others})


@pytest.fixture(scope="module")
def made():
    return rows_of(1, 0.85), rows_of(2, 0.6)


def test_values_are_those_of_each_model_alone(made):
    found = compare_nuclei(answers("A", made[0]), answers("B", made[1]), CLASSES, **DRAWS)
    assert found.comparable and (found.n, found.unit, found.positives, found.agreement) == (44, "patches", None, None)
    ours, theirs = (NucleiScores.of(rows, CLASSES, **DRAWS) for rows in made)
    for name, of_model in (("bpq", ours), ("mpq_plus", ours), ("r2", ours)):
        assert found.scores[name].first == pytest.approx(of_model.intervals[name].value)
        assert found.scores[name].second == pytest.approx(theirs.intervals[name].value)
    assert found.scores["image_dice"].difference == pytest.approx(ours.by_image["dice"].value - theirs.by_image["dice"].value)
    bpq = found.scores["bpq"]
    assert 0 < bpq.bounds.low < bpq.difference < bpq.bounds.high < 0.5  # 0.85 of nuclei found against 0.6
    assert found.scores["r2"].bounds is None and "R²" in found.scores["r2"].method
    round_, oval = found.groups
    assert (round_.name, round_.n, oval.n) == ("round", 44, 6)
    assert round_.scores["pq"].bounds is not None and oval.scores["pq"].bounds is None
    assert oval.scores["dq"].first == pytest.approx(ours.by_class["oval"].dq.value)  # fmt: skip


def test_patches_that_differ_most_come_first(made):
    found = compare_nuclei(answers("A", made[0]), answers("B", made[1]), CLASSES, **DRAWS)
    apart = [abs(each.first - each.second) for each in found.different]
    assert apart == sorted(apart, reverse=True) and len(apart) == min(found.different_of, LISTED) > 30
    first = found.different[0]
    (ours,) = (each for each in made[0] if (each.patch, each.class_name) == (first.item, "all"))
    assert first.first == pytest.approx(0.75 * ours.tp / (ours.tp + 0.5 * ours.fp + 0.5 * ours.fn)) and first.group == ours.source


def test_the_order_of_rows_does_not_matter_and_identical_models_do_not_differ(made):
    found = compare_nuclei(answers("A", made[0]), answers("B", made[1]), CLASSES, **DRAWS)
    assert found == compare_nuclei(answers("A", made[0][::-1]), answers("B", made[1][5:] + made[1][:5]), CLASSES, **DRAWS)
    same = compare_nuclei(answers("A", made[0]), answers("B", made[0]), CLASSES, **DRAWS)
    assert same.different == [] and {(each.bounds.low, each.bounds.high) for each in same.scores.values() if each.bounds} == {
        (0, 0)
    }


def test_what_is_left_out_is_counted(made):
    patches = sorted({each.patch for each in made[0]})
    kept = [each for each in made[1] if each.patch != patches[0]]
    changed = [each.model_copy(update={"fn": each.fn + 1}) if each.patch == patches[1] and each.class_name == "all" else each for each in kept]  # fmt: skip
    ours = answers("A", made[0], contents={patches[2]: "one", patches[3]: "same"}, learned=frozenset(patches[4:6]))
    theirs = answers("B", changed, contents={patches[2]: "other", patches[3]: "same"}, learned=None)
    found = compare_nuclei(ours, theirs, CLASSES, **DRAWS)
    out = found.left_out
    assert (out.only_first, out.other_truth, out.other_content, out.learned_by_first) == (1, 1, 1, 2)
    assert (found.n, found.by_id_alone, found.learning_unknown) == (39, 38, ["B"])


def test_what_is_not_comparable_says_why(made):
    few = compare_nuclei(answers("A", made[0][: 3 * 29]), answers("B", made[1]), CLASSES, **DRAWS)
    assert not few.comparable and few.reason.startswith("29 patches in common, and it takes 30")
    alone = [[each.model_copy(update={"source": "s"}) for each in rows] for rows in made]
    one = compare_nuclei(answers("A", alone[0]), answers("B", alone[1]), CLASSES, **DRAWS)
    assert "from one source image" in one.reason and one.scores == {}
    empty = [[each.model_copy(update={"tp": 0, "fn": 0, "iou_sum": 0.0}) for each in rows] for rows in made]
    assert "has no nuclei" in compare_nuclei(answers("A", empty[0]), answers("B", empty[1]), CLASSES, **DRAWS).reason


def test_rows_that_are_not_whole_are_refused(made):
    with pytest.raises(DataError, match="there is no row 'oval'"):
        compare_nuclei(
            answers("A", [each for each in made[0] if each.class_name != "oval"]), answers("B", made[1]), CLASSES, **DRAWS
        )
    moved = [each.model_copy(update={"source": "elsewhere"}) if each.patch.startswith("s01") else each for each in made[1]]
    with pytest.raises(DataError, match="come from another source image"):
        compare_nuclei(answers("A", made[0]), answers("B", moved), CLASSES, **DRAWS)
