"""Scores over patches: by hand, by loops and scikit-learn, by drawing source images one by one, and what is refused."""

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.tables_lizard import NucleiScoreRow
from pathology.metrics.nuclei import ALL, MATCHED, OVERALL, NucleiScores, matched_classification, patch_rows
from pathology.metrics.panoptic import aji, detect, dice, score, score_classes
from pathology.nuclei.counts import central_counts

CLASSES = ("round", "oval", "rare")
SETTINGS = {"resamples": 100, "confidence": 0.9, "seed": 3}


def row(patch, source, kind, tp=0, fp=0, fn=0, iou_sum=0.0, counts=(0, 0), **others):
    """A row with zeros where nothing is said."""
    rest = dict.fromkeys(("pixels_both", "pixels_true", "pixels_predicted", "aji_intersection", "aji_union"), 0) | others
    return NucleiScoreRow(
        patch=patch, source=source, class_name=kind, tp=tp, fp=fp, fn=fn, iou_sum=iou_sum, true_count=counts[0], predicted_count=counts[1], **rest
    )  # fmt: skip


def made_patch(generator, side=40, rare=True):
    """Truth and prediction that partly agree: discs that touch and overlap, moved, dropped, added and retyped."""
    rows, columns = np.mgrid[:side, :side]
    true, predicted = np.zeros((2, side, side, 2), np.uint16)
    for number in range(1, generator.integers(4, 16)):
        y, x = generator.uniform(0, side, 2)
        radius, kind = generator.uniform(2, 6), generator.integers(1, 4 if rare else 3)
        if generator.random() > 0.2:
            true[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number, kind
        if generator.random() > 0.2:
            kind = kind if generator.random() > 0.3 else generator.integers(1, 4 if rare else 3)
            y, x = y + generator.normal(0, 0.7), x + generator.normal(0, 0.7)
            predicted[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number, kind
    return true, predicted


@pytest.fixture(scope="module")
def made():
    """24 patches of 6 sources as (name, source, truth, prediction); two are empty on both sides, the rare class is in two sources."""
    generator = np.random.default_rng(11)
    found = []
    for index in range(24):
        source = f"crag_{index % 6}"
        true, predicted = made_patch(generator, rare=index % 6 < 2)
        if index in (7, 15):
            true[:], predicted[:] = 0, 0
        found.append((f"{source}-{index:04}", source, true, predicted))
    return found


@pytest.fixture(scope="module")
def rows(made):
    return [row for patch in made for row in patch_rows(*patch, CLASSES, central=32)]


# By hand


def test_worked_scores():
    """Two sources of two patches, one of which is empty; IoU sums and counts are chosen to be read off."""
    two = ("a", "b")
    rows = [
        # p1: class a is found with IoU 0.8 and missed once, b is made up once.
        row("p1", "s1", "a", tp=1, fn=1, iou_sum=0.8, counts=(2, 1)),
        row("p1", "s1", "b", fp=1, counts=(0, 1)),
        row("p1", "s1", ALL, tp=1, fp=1, fn=1, iou_sum=0.8, counts=(2, 2), pixels_both=30, pixels_true=60, pixels_predicted=40, aji_intersection=30, aji_union=90),
        # p2: both classes are found, with IoU 0.6 and 1.
        row("p2", "s2", "a", tp=1, iou_sum=0.6, counts=(1, 1)),
        row("p2", "s2", "b", tp=1, iou_sum=1.0, counts=(1, 1)),
        row("p2", "s2", ALL, tp=2, iou_sum=1.6, counts=(2, 2), pixels_both=50, pixels_true=50, pixels_predicted=50, aji_intersection=40, aji_union=50),
        *(row("p3", "s2", kind) for kind in (*two, ALL)),
        # p4: nothing but a missed nucleus of b; p3 has nothing at all.
        row("p4", "s1", "a"),
        row("p4", "s1", "b", fn=1, counts=(1, 0)),
        row("p4", "s1", ALL, fn=1, counts=(1, 0), pixels_true=10, aji_union=10),
    ]  # fmt: skip
    found = NucleiScores.of(rows, two, **SETTINGS)
    value = {name: interval.value for name, interval in found.intervals.items()}
    assert (found.patches, found.sources, found.empty_patches) == (4, 2, 1)
    # PQ of p1: DQ 1/2, SQ 0.8; of p2: 1 · 0.8; of p3 and p4: 0.
    assert value["bpq"] == pytest.approx((0.4 + 0.8 + 0 + 0) / 4, abs=1e-12)
    assert value["dice"] == pytest.approx((60 / 100 + 1 + 0 + 0) / 4, abs=1e-12)
    assert value["aji"] == pytest.approx((30 / 90 + 40 / 50 + 0 + 0) / 4, abs=1e-12)
    assert value["detection_f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 2), abs=1e-12)
    # a in p1: DQ 1/1.5, SQ 0.8; in p2: 0.6. b in p2: 1; in p4: 0; in p1 it is not in the truth.
    # By patch: p1 has a only, p2 both, p4 b only.
    assert value["mpq"] == pytest.approx((0.8 / 1.5 + (0.6 + 1) / 2 + 0) / 3, abs=1e-12)
    # a pooled: TP 2, FN 1, ΣIoU 1.4: DQ 2/2.5, SQ 0.7. b pooled: TP 1, FP 1, FN 1, ΣIoU 1: DQ 1/2, SQ 1.
    a, b = found.by_class["a"], found.by_class["b"]
    assert (a.dq.value, a.sq.value, a.pq.value) == pytest.approx((0.8, 0.7, 0.56), abs=1e-12)
    assert (b.dq.value, b.sq.value, b.pq.value) == pytest.approx((0.5, 1.0, 0.5), abs=1e-12)
    assert a.f1.value == pytest.approx(2 * 2 / (2 * 2 + 0 + 1), abs=1e-12)
    assert value["mpq_plus"] == pytest.approx((0.56 + 0.5) / 2, abs=1e-12)
    # a: 2, 1, 0, 0 against 1, 1, 0, 0: mean 3/4, Σ(y−ȳ)² = 5 − 9/4 = 11/4, Σ error² = 1. b: 0, 1, 0, 1 against 1, 1, 0, 0: 1 and 2.
    assert (a.r2.value, b.r2.value) == pytest.approx((1 - 1 / (11 / 4), 1 - 2 / 1), abs=1e-12)
    assert value["r2"] == pytest.approx((7 / 11 - 1) / 2, abs=1e-12)
    assert (a.true, a.predicted, a.true_central, a.predicted_central) == (3, 2, 3, 2)
    assert (b.true, b.predicted, b.true_central, b.predicted_central) == (2, 2, 2, 2)


def test_worked_typing():
    """Actual a: 3 called a, 1 called b; actual b: 1 called a, 3 called b; c is only ever a made-up call of an actual a."""
    confusions = np.array([[[3, 1, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 1], [1, 3, 0], [0, 0, 0]]])
    pooled, found = matched_classification(confusions, ["s1", "s2"], **SETTINGS)
    assert pooled.tolist() == [[3, 1, 1], [1, 3, 0], [0, 0, 0]]
    assert tuple(found) == MATCHED
    # 9 nuclei, 6 right; precision a 3/4, b 3/4; recall a 3/5, b 3/4; weights 5/9 and 4/9.
    assert found["accuracy"].value == pytest.approx(6 / 9, abs=1e-12)
    assert found["weighted_precision"].value == pytest.approx(3 / 4, abs=1e-12)
    assert found["weighted_recall"].value == pytest.approx((3 / 5 * 5 + 3 / 4 * 4) / 9, abs=1e-12)
    assert found["weighted_f1"].value == pytest.approx((2 * 3 / (5 + 4) * 5 + 2 * 3 / (4 + 4) * 4) / 9, abs=1e-12)
    assert all(
        each.low <= each.value <= each.high and each.deviation > 0 for name, each in found.items() if name != "weighted_precision"
    )


# By loops and scikit-learn


def slow(made, chosen):
    """Every overall measure of the patches ``chosen`` (with repeats), patch by patch; and each class's, None where it is nowhere."""
    from sklearn.metrics import r2_score

    patches = [made[index] for index in chosen]
    blind = [score(true[..., 0], predicted[..., 0]) for _, _, true, predicted in patches]
    typed = [score_classes(true, predicted, 3) for _, _, true, predicted in patches]
    counts = [[central_counts(labels, 3, 32) for labels in patch[2:]] for patch in patches]
    classes = []
    for k in range(3):
        tp, fp, fn = (sum(getattr(each[k], name) for each in typed) for name in ("tp", "fp", "fn"))
        if tp + fp + fn == 0:
            classes.append(None)
            continue
        dq, sq = tp / (tp + fp / 2 + fn / 2), sum(each[k].iou_sum for each in typed) / tp if tp else 0
        classes.append((dq * sq, dq, sq, r2_score([true[k] for true, _ in counts], [predicted[k] for _, predicted in counts])))
    across = [[one.pq for one in each if one.tp + one.fn] for each in typed]
    tp = sum(each.tp for each in blind)
    overall = {
        "bpq": np.mean([each.pq for each in blind]),
        "dice": np.mean([dice(true[..., 0] > 0, predicted[..., 0] > 0).value for _, _, true, predicted in patches]),
        "aji": np.mean([aji(true[..., 0], predicted[..., 0]).value for _, _, true, predicted in patches]),
        "detection_f1": 2 * tp / (2 * tp + sum(each.fp + each.fn for each in blind)),
        "mpq": np.mean([np.mean(each) for each in across if each]),
        "mpq_plus": np.mean([each[0] for each in classes if each]),
        "r2": np.mean([each[3] for each in classes if each]),
    }
    return overall, classes


def test_the_estimates(made, rows):
    found = NucleiScores.of(rows, CLASSES, **SETTINGS)
    overall, classes = slow(made, range(len(made)))
    assert tuple(found.intervals) == OVERALL
    assert {name: each.value for name, each in found.intervals.items()} == pytest.approx(overall, abs=1e-9)
    for kind, expected in zip(CLASSES, classes, strict=True):
        own = found.by_class[kind]
        assert [own.pq.value, own.dq.value, own.sq.value, own.r2.value] == pytest.approx(expected, abs=1e-9)
    assert (found.patches, found.sources, found.empty_patches) == (24, 6, 2)
    assert len({round(value, 6) for value in overall.values()}) == len(overall)  # no two measures are told apart by name only


def test_the_intervals_by_drawing_source_images(made, rows):
    """The same draws, each source image's patches as often as it was drawn; the rare class is in 2 of 6 sources, so some lack it."""
    found = NucleiScores.of(rows, CLASSES, **SETTINGS)
    sources = sorted({source for _, source, _, _ in made})
    drawn, of_class = [], []
    for times in np.random.default_rng(3).multinomial(6, np.full(6, 1 / 6), size=100):
        often = dict(zip(sources, times, strict=True))
        overall, classes = slow(made, [index for index, patch in enumerate(made) for _ in range(often[patch[1]])])
        drawn.append(overall)
        of_class.append(classes)
    for name, interval in found.intervals.items():
        values = [each[name] for each in drawn]
        assert (interval.low, interval.high) == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=1e-9), name
        assert interval.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-9), name
        assert interval.low < interval.high, name
    for k, kind in enumerate(CLASSES):
        own = found.by_class[kind]
        for index, interval in enumerate((own.pq, own.dq, own.sq, own.r2)):
            values = [classes[k][index] for classes in of_class if classes[k]]
            assert (interval.low, interval.high) == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=1e-9), kind
            assert interval.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-9), kind
    assert 0 < sum(classes[2] is None for classes in of_class) < 60


def test_the_typing_against_scikit_learn(made):
    from sklearn.metrics import accuracy_score, fbeta_score, precision_score, recall_score

    confusions = np.array([detect(true, predicted, 3).confusion for _, _, true, predicted in made])
    sources = [source for _, source, _, _ in made]
    pooled, found = matched_classification(confusions, sources, **SETTINGS)
    truth, called = (np.repeat(each.ravel(), pooled.ravel()) for each in np.indices((3, 3)))
    options = {"average": "weighted", "zero_division": 0}
    expected = {
        "accuracy": accuracy_score(truth, called),
        "weighted_precision": precision_score(truth, called, **options),
        "weighted_recall": recall_score(truth, called, **options),
        **{
            f"weighted_f{name}": fbeta_score(truth, called, beta=beta, **options)
            for name, beta in (("0_5", 0.5), ("1", 1), ("2", 2))
        },
    }
    assert {name: each.value for name, each in found.items()} == pytest.approx(expected, abs=1e-9)
    assert pooled.sum() > pooled.trace() > 0
    drawn = []
    names = sorted(set(sources))
    for times in np.random.default_rng(3).multinomial(6, np.full(6, 1 / 6), size=100):
        often = dict(zip(names, times, strict=True))
        cells = sum(often[source] * confusion for source, confusion in zip(sources, confusions, strict=True))
        drawn.append(cells.trace() / cells.sum())
    assert found["accuracy"].deviation == pytest.approx(np.std(drawn, ddof=1), abs=1e-9)


# Rows and their order


def test_the_rows_of_a_patch(made):
    name, source, true, predicted = made[0]
    found = patch_rows(name, source, true, predicted, CLASSES, central=32)
    assert [each.class_name for each in found] == [*CLASSES, ALL]
    assert all((each.patch, each.source) == (name, source) for each in found)
    *classes, whole = found
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
    assert (whole.tp, whole.aji_union > whole.pixels_true) == (score(true[..., 0], predicted[..., 0]).tp, True)


def test_scores_outlive_the_table(rows, tmp_path):
    """predictions.csv as written and read gives the same scores, in any order of rows and whatever the seed for the estimates."""
    (tmp_path / "predictions.csv").write_bytes(NucleiScoreRow.table(reversed(rows)))
    again = NucleiScores.of(NucleiScoreRow.read(tmp_path / "predictions.csv"), CLASSES, **SETTINGS)
    first = NucleiScores.of(rows, CLASSES, **SETTINGS)
    assert NucleiScores.of(rows, CLASSES, **SETTINGS) == first
    for name, interval in first.intervals.items():
        other = again.intervals[name]
        assert (interval.value, interval.low, interval.high) == pytest.approx((other.value, other.low, other.high), abs=1e-12)
    moved = NucleiScores.of(rows, CLASSES, **SETTINGS | {"seed": 4})
    assert moved.intervals["bpq"].value == first.intervals["bpq"].value
    assert moved.intervals["bpq"].low != first.intervals["bpq"].low


def test_the_real_patches_against_themselves_and_against_nothing(shared_data):
    labels = np.load(shared_data / "nuclei" / "labels.npy", mmap_mode="r")
    classes = ("non_tumor", "tumor")
    pairs = [(f"s{index}-0000", f"s{index}", np.asarray(each)) for index, each in enumerate(labels)]
    same = NucleiScores.of([row for n, s, true in pairs for row in patch_rows(n, s, true, true, classes)], classes, **SETTINGS)
    assert all((each.value, each.low, each.high) == (1.0, 1.0, 1.0) for each in same.intervals.values())
    assert sum(each.true for each in same.by_class.values()) == sum(len(np.unique(each[..., 0])) - 1 for each in labels)
    rows = [row for n, s, true in pairs for row in patch_rows(n, s, true, np.zeros_like(true), classes)]
    nothing = NucleiScores.of(rows, classes, **SETTINGS)
    assert all(each.value == 0 for name, each in nothing.intervals.items() if name != "r2")
    assert nothing.intervals["r2"].value < 0


# Classes that are nowhere, and what is refused


def test_a_class_that_is_nowhere_has_no_score_and_takes_no_part(rows):
    """As if it had not been asked for; one that is only predicted scores 0 and counts."""
    more = [row(name, source, "absent") for name, source in {each.patch: each.source for each in rows}.items()]
    plain, found = NucleiScores.of(rows, CLASSES, **SETTINGS), NucleiScores.of([*rows, *more], (*CLASSES, "absent"), **SETTINGS)
    assert found.intervals == plain.intervals
    own = found.by_class["absent"]
    assert (own.pq, own.dq, own.sq, own.r2, own.f1, own.true, own.predicted) == (None, None, None, None, None, 0, 0)
    more[0] = row(more[0].patch, more[0].source, "absent", fp=1, counts=(0, 1))
    found = NucleiScores.of([*rows, *more], (*CLASSES, "absent"), **SETTINGS)
    assert (found.by_class["absent"].pq.value, found.by_class["absent"].r2.value) == (0.0, 0.0)
    assert found.intervals["mpq_plus"].value == pytest.approx(plain.intervals["mpq_plus"].value * 3 / 4, abs=1e-12)
    assert found.intervals["mpq"].value == plain.intervals["mpq"].value  # never in the truth


def test_counts_that_do_not_vary():
    """Two nuclei on every patch: R² is 1 where all are counted and 0 otherwise, as scikit-learn has it."""

    from sklearn.metrics import r2_score

    def rows(called):
        return [
            row(f"p{n}", f"s{n}", kind, tp=2, iou_sum=1.6, counts=(2, found))
            for n, found in enumerate(called)
            for kind in ("a", ALL)
        ]

    for called in ([2, 2, 2], [2, 3, 2]):
        found = NucleiScores.of(rows(called), ("a",), **SETTINGS)
        assert (
            found.by_class["a"].r2.value
            == found.intervals["r2"].value
            == r2_score([2, 2, 2], called)
            == float(called == [2, 2, 2])
        )


def test_nothing_found_is_zero_with_the_widest_interval():
    pooled, found = matched_classification(np.zeros((3, 2, 2), int), ["a", "b", "b"], **SETTINGS)
    assert pooled.tolist() == [[0, 0], [0, 0]]
    assert {(each.value, each.low, each.high) for each in found.values()} == {(0.0, 0.0, 1.0)}


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


def test_bad_classes_and_bad_maps(rows, made):
    with pytest.raises(DataError, match="a class is called 'all'"):
        NucleiScores.of(rows, (*CLASSES, ALL), **SETTINGS)
    name, source, true, predicted = made[0]
    with pytest.raises(ValueError, match="there are 2, 0 is background"):
        patch_rows(name, source, np.where(true > 0, 3, 0), predicted, CLASSES[:2])
    with pytest.raises(ValueError, match="of one patch"):
        patch_rows(name, source, true, predicted[:-1], CLASSES)
    with pytest.raises(DataError, match="1 source image"):
        matched_classification(np.ones((2, 3, 3), int), ["a", "a"], **SETTINGS)
