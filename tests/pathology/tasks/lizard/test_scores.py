"""Scores over patches: by hand, by loops and scikit-learn, and by drawing source images one by one."""

import numpy as np
import pytest
from nuclear_scores import CLASSES, SETTINGS, row
from pathology.contracts.lizard.patches import ALL_CLASSES
from pathology.metrics.panoptic import aji, detect, dice, score, score_classes
from pathology.nuclei.counts import central_counts
from pathology.tasks.lizard.scores import MATCHED, OVERALL, NucleiScores, matched_classification

# By hand


def test_worked_scores():
    """Two sources of two patches, one of which is empty; IoU sums and counts are chosen to be read off."""
    two = ("a", "b")
    rows = [
        # p1: class a is found with IoU 0.8 and missed once, b is made up once.
        row("p1", "s1", "a", tp=1, fn=1, iou_sum=0.8, counts=(2, 1)),
        row("p1", "s1", "b", fp=1, counts=(0, 1)),
        row("p1", "s1", ALL_CLASSES, tp=1, fp=1, fn=1, iou_sum=0.8, counts=(2, 2), pixels_both=30, pixels_true=60, pixels_predicted=40, aji_intersection=30, aji_union=90),
        # p2: both classes are found, with IoU 0.6 and 1.
        row("p2", "s2", "a", tp=1, iou_sum=0.6, counts=(1, 1)),
        row("p2", "s2", "b", tp=1, iou_sum=1.0, counts=(1, 1)),
        row("p2", "s2", ALL_CLASSES, tp=2, iou_sum=1.6, counts=(2, 2), pixels_both=50, pixels_true=50, pixels_predicted=50, aji_intersection=40, aji_union=50),
        *(row("p3", "s2", kind) for kind in (*two, ALL_CLASSES)),
        # p4: nothing but a missed nucleus of b; p3 has nothing at all.
        row("p4", "s1", "a"),
        row("p4", "s1", "b", fn=1, counts=(1, 0)),
        row("p4", "s1", ALL_CLASSES, fn=1, counts=(1, 0), pixels_true=10, aji_union=10),
    ]  # fmt: skip
    scores = NucleiScores.of(rows, two, **SETTINGS)
    value = {name: interval.value for name, interval in scores.intervals.items()}
    assert (scores.patches, scores.sources, scores.empty_patches) == (4, 2, 1)
    # PQ of p1: DQ 1/2, SQ 0.8; of p2: 1 · 0.8; of p3 and p4: 0.
    assert value["bpq"] == pytest.approx((0.4 + 0.8 + 0 + 0) / 4, abs=1e-12)
    assert value["dice"] == pytest.approx((60 / 100 + 1 + 0 + 0) / 4, abs=1e-12)
    assert value["aji"] == pytest.approx((30 / 90 + 40 / 50 + 0 + 0) / 4, abs=1e-12)
    assert value["detection_f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 2), abs=1e-12)
    # a in p1: DQ 1/1.5, SQ 0.8; in p2: 0.6. b in p2: 1; in p4: 0; in p1 it is not in the truth.
    # By patch: p1 has a only, p2 both, p4 b only.
    assert value["mpq"] == pytest.approx((0.8 / 1.5 + (0.6 + 1) / 2 + 0) / 3, abs=1e-12)
    # a pooled: TP 2, FN 1, ΣIoU 1.4: DQ 2/2.5, SQ 0.7. b pooled: TP 1, FP 1, FN 1, ΣIoU 1: DQ 1/2, SQ 1.
    a, b = scores.by_class["a"], scores.by_class["b"]
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
    pooled, measures = matched_classification(confusions, ["s1", "s2"], **SETTINGS)
    assert pooled.tolist() == [[3, 1, 1], [1, 3, 0], [0, 0, 0]]
    assert tuple(measures) == MATCHED
    # 9 nuclei, 6 right; precision a 3/4, b 3/4; recall a 3/5, b 3/4; weights 5/9 and 4/9.
    assert measures["accuracy"].value == pytest.approx(6 / 9, abs=1e-12)
    assert measures["weighted_precision"].value == pytest.approx(3 / 4, abs=1e-12)
    assert measures["weighted_recall"].value == pytest.approx((3 / 5 * 5 + 3 / 4 * 4) / 9, abs=1e-12)
    assert measures["weighted_f1"].value == pytest.approx((2 * 3 / (5 + 4) * 5 + 2 * 3 / (4 + 4) * 4) / 9, abs=1e-12)
    assert all(
        each.low <= each.value <= each.high and each.std > 0 for name, each in measures.items() if name != "weighted_precision"
    )


# By loops and scikit-learn


def slow(scored, chosen):
    """Every overall measure of the patches ``chosen`` (with repeats), patch by patch; and each class's, None where it is nowhere."""
    from sklearn.metrics import r2_score

    patches = [scored[index] for index in chosen]
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


def test_the_estimates(scored, rows):
    scores = NucleiScores.of(rows, CLASSES, **SETTINGS)
    overall, classes = slow(scored, range(len(scored)))
    assert tuple(scores.intervals) == OVERALL
    assert {name: each.value for name, each in scores.intervals.items()} == pytest.approx(overall, abs=1e-9)
    for kind, expected in zip(CLASSES, classes, strict=True):
        of_class = scores.by_class[kind]
        assert [of_class.pq.value, of_class.dq.value, of_class.sq.value, of_class.r2.value] == pytest.approx(expected, abs=1e-9)
    assert (scores.patches, scores.sources, scores.empty_patches) == (24, 6, 2)
    assert len({round(value, 6) for value in overall.values()}) == len(overall)  # no two measures are told apart by name only


def test_the_intervals_by_drawing_source_images(scored, rows):
    """The same draws, each source image's patches as often as it was drawn; the rare class is in 2 of 6 sources, so some lack it."""
    scores = NucleiScores.of(rows, CLASSES, **SETTINGS)
    sources = sorted({source for _, source, _, _ in scored})
    drawn, of_class = [], []
    for times in np.random.default_rng(3).multinomial(6, np.full(6, 1 / 6), size=100):
        often = dict(zip(sources, times, strict=True))
        overall, classes = slow(scored, [index for index, patch in enumerate(scored) for _ in range(often[patch[1]])])
        drawn.append(overall)
        of_class.append(classes)
    for name, interval in scores.intervals.items():
        values = [each[name] for each in drawn]
        assert (interval.low, interval.high) == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=1e-9), name
        assert interval.std == pytest.approx(np.std(values, ddof=1), abs=1e-9), name
        assert interval.low < interval.high, name
    for k, kind in enumerate(CLASSES):
        scores_of_class = scores.by_class[kind]
        for index, interval in enumerate((scores_of_class.pq, scores_of_class.dq, scores_of_class.sq, scores_of_class.r2)):
            values = [classes[k][index] for classes in of_class if classes[k]]
            assert (interval.low, interval.high) == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=1e-9), kind
            assert interval.std == pytest.approx(np.std(values, ddof=1), abs=1e-9), kind
    assert 0 < sum(classes[2] is None for classes in of_class) < 60


def test_the_typing_against_scikit_learn(scored):
    from sklearn.metrics import accuracy_score, fbeta_score, precision_score, recall_score

    confusions = np.array([detect(true, predicted, 3).confusion for _, _, true, predicted in scored])
    sources = [source for _, source, _, _ in scored]
    pooled, measures = matched_classification(confusions, sources, **SETTINGS)
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
    assert {name: each.value for name, each in measures.items()} == pytest.approx(expected, abs=1e-9)
    assert pooled.sum() > pooled.trace() > 0
    drawn = []
    names = sorted(set(sources))
    for times in np.random.default_rng(3).multinomial(6, np.full(6, 1 / 6), size=100):
        often = dict(zip(names, times, strict=True))
        cells = sum(often[source] * confusion for source, confusion in zip(sources, confusions, strict=True))
        drawn.append(cells.trace() / cells.sum())
    assert measures["accuracy"].std == pytest.approx(np.std(drawn, ddof=1), abs=1e-9)
