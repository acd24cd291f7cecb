"""Scores over patches: by hand, by loops and scikit-learn, and by drawing source images one by one."""

from functools import cache

import numpy as np
import pytest
from nuclear_scores import CLASSES, SETTINGS, row
from pathology.contracts.intervals import Interval
from pathology.contracts.intervals.clusters import Spread
from pathology.contracts.lizard.patches import ALL_CLASSES
from pathology.metrics.panoptic import aji, detect, dice, score, score_classes
from pathology.nuclei.counts import central_counts
from pathology.tasks.lizard.scores import OF_CLASS, OVERALL, NucleiScores
from pathology.tasks.lizard.typed import MATCHED, matched_classification

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
    assert all(each.clusters == 2 and each.std > 0 for name, each in measures.items() if name != "weighted_precision")


# By loops and scikit-learn


@cache
def _points(content, shape, kind):
    labels = np.frombuffer(content, np.uint16).reshape(shape)
    ids = np.unique(labels[labels[..., 1] == kind][:, 0] if kind else labels[labels[..., 0] > 0][:, 0])
    return [np.argwhere(labels[..., 0] == number).mean(axis=0) for number in ids]


def pairs(true, predicted, radius, kind=0):
    """Most pairs of nuclei with middles within ``radius``, by augmenting paths (Kuhn's algorithm)."""
    ours, theirs = (_points(labels.tobytes(), labels.shape, kind) for labels in (true, predicted))
    near = [[j for j, other in enumerate(theirs) if np.hypot(*(point - other)) <= radius] for point in ours]
    taken = {}

    def place(point, seen):
        for other in near[point]:
            if other not in seen:
                seen.add(other)
                if other not in taken or place(taken[other], seen):
                    taken[other] = point
                    return True
        return False

    return sum(place(point, set()) for point in range(len(ours)))


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
        near = [sum(pairs(true, predicted, radius, k + 1) for _, _, true, predicted in patches) for radius in (12, 6)]
        near = [2 * each / (2 * tp + fp + fn) for each in near]
        classes.append(
            (dq * sq, dq, sq, *near, r2_score([true[k] for true, _ in counts], [predicted[k] for _, predicted in counts]))
        )
    across = [[one.pq for one in each if one.tp + one.fn] for each in typed]
    tp = sum(each.tp for each in blind)
    overall = {
        "bpq": np.mean([each.pq for each in blind]),
        "dice": np.mean([dice(true[..., 0] > 0, predicted[..., 0] > 0).value for _, _, true, predicted in patches]),
        "aji": np.mean([aji(true[..., 0], predicted[..., 0]).value for _, _, true, predicted in patches]),
        "detection_f1": 2 * tp / (2 * tp + sum(each.fp + each.fn for each in blind)),
        "centroid_f1": 2
        * sum(pairs(true, predicted, 12) for _, _, true, predicted in patches)
        / (2 * tp + sum(each.fp + each.fn for each in blind)),
        "mpq": np.mean([np.mean(each) for each in across if each]),
        "mpq_plus": np.mean([each[0] for each in classes if each]),
        "r2": np.mean([each[-1] for each in classes if each]),
    }
    return overall, classes


def test_the_estimates(scored, rows):
    scores = NucleiScores.of(rows, CLASSES, **SETTINGS)
    overall, classes = slow(scored, range(len(scored)))
    assert tuple(scores.intervals) == OVERALL
    assert {name: each.value for name, each in scores.intervals.items()} == pytest.approx(overall, abs=1e-9)
    for kind, expected in zip(CLASSES, classes, strict=True):
        of_class = scores.by_class[kind]
        assert [getattr(of_class, name).value for name in OF_CLASS] == pytest.approx(expected, abs=1e-9)
    assert (scores.patches, scores.sources, scores.empty_patches) == (24, 6, 2)
    assert len({round(value, 6) for value in overall.values()}) == len(overall)  # no two measures are told apart by name only


def test_the_ranges_by_leaving_out_source_images(scored, rows):
    """Six source images are too few for an interval; the rare class is in 2 of them."""
    scores = NucleiScores.of(rows, CLASSES, **SETTINGS)
    sources = sorted({source for _, source, _, _ in scored})
    left = [slow(scored, [n for n, patch in enumerate(scored) if patch[1] != source]) for source in sources]
    for name, spread in scores.intervals.items():
        values = [overall[name] for overall, _ in left]
        assert (spread.lowest, spread.highest, spread.clusters) == pytest.approx((min(values), max(values), 6), abs=1e-9), name
        assert spread.std == pytest.approx(np.sqrt(5 / 6 * np.square(values - np.mean(values)).sum()), abs=1e-9), name
    for k, kind in enumerate(CLASSES):
        has = [source for source in sources if any(patch[1] == source and has_class(patch, k + 1) for patch in scored)]
        for index, name in enumerate(OF_CLASS):
            spread = getattr(scores.by_class[kind], name)
            values = [classes[k][index] for source, (_, classes) in zip(sources, left, strict=True) if source in has]
            assert (spread.lowest, spread.highest, spread.clusters) == pytest.approx(
                (min(values), max(values), len(has)), abs=1e-9
            )
    assert scores.by_class["rare"].pq.clusters == 2


def has_class(patch, kind):
    """Whether truth or prediction has any of a class."""
    return any((labels[..., 1] == kind).any() for labels in patch[2:])


def test_intervals_of_many_source_images(scored, rows):
    """As many as patches here. R² never has one, nor has a class that is in too few of them."""
    scored = sorted(((name, name, true, predicted) for name, _, true, predicted in scored), key=lambda patch: patch[0])
    rows = [row.model_copy(update={"source": row.patch}) for row in rows]
    scores = NucleiScores.of(rows, CLASSES, **SETTINGS | {"resamples": 25})
    left = [slow(scored, [n for n in range(24) if n != out])[0] for out in range(24)]
    drawn = [
        slow(scored, np.repeat(np.arange(24), times))[0]
        for times in np.random.default_rng(3).multinomial(24, np.full(24, 1 / 24), size=25)
    ]
    for name, interval in scores.intervals.items():
        if name == "r2":
            assert isinstance(interval, Spread) and interval.clusters == 24
            continue
        jackknife = np.sqrt(23 / 24 * np.square([each[name] - np.mean([other[name] for other in left]) for each in left]).sum())
        bootstrap = np.std([each[name] for each in drawn], ddof=1) * np.sqrt(24 / 23)
        assert interval.std == pytest.approx(max(jackknife, bootstrap), abs=1e-9), name
        assert 0 < interval.low < interval.value < interval.high < 1
    kinds = {kind: type(scores.by_class[kind].pq) for kind in CLASSES}
    assert kinds == {"round": Interval, "oval": Interval, "rare": Spread} and isinstance(scores.by_class["round"].r2, Spread)


def test_images_count_once_whatever_their_patches():
    """Two patches of s1 and one of s2, by hand; s3 has no nucleus and no score."""
    two = ("a", "b")
    rows = [
        row("p1", "s1", "a", tp=1, fn=1, iou_sum=0.8),
        row("p1", "s1", "b"),
        row("p1", "s1", ALL_CLASSES, tp=1, fn=1, iou_sum=0.8, pixels_both=30, pixels_true=60, pixels_predicted=40, aji_intersection=30, aji_union=90),
        row("p2", "s1", "a", tp=1, iou_sum=0.6),
        row("p2", "s1", "b", fn=1),
        row("p2", "s1", ALL_CLASSES, tp=1, fn=1, iou_sum=0.6, pixels_both=10, pixels_true=20, pixels_predicted=10, aji_intersection=10, aji_union=30),
        row("p3", "s2", "a"),
        row("p3", "s2", "b", tp=1, fp=1, iou_sum=0.9),
        row("p3", "s2", ALL_CLASSES, tp=1, fp=1, iou_sum=0.9, pixels_both=20, pixels_true=20, pixels_predicted=30, aji_intersection=20, aji_union=40),
        *(row("p4", "s3", kind) for kind in (*two, ALL_CLASSES)),
    ]  # fmt: skip
    scores = NucleiScores.of(rows, two, **SETTINGS)
    value = {name: measured.value for name, measured in scores.by_image.items()}
    # s1 pooled: TP 2, FN 2, ΣIoU 1.4: 1.4 / 3; a: 1.4 / 2.5, b: 0. s2: 0.9 / 1.5 in both.
    assert value["bpq"] == pytest.approx((1.4 / 3 + 0.9 / 1.5) / 2, abs=1e-12)
    assert value["mpq"] == pytest.approx(((1.4 / 2.5 + 0) / 2 + 0.9 / 1.5) / 2, abs=1e-12)
    assert value["dice"] == pytest.approx((80 / 130 + 40 / 50) / 2, abs=1e-12)
    assert value["aji"] == pytest.approx((40 / 120 + 20 / 40) / 2, abs=1e-12)
    assert [measured.clusters for measured in scores.by_image.values()] == [2, 2, 2, 2]
    assert scores.intervals["bpq"].value == pytest.approx((0.8 / 1.5 + 0.6 / 1.5 + 0.9 / 1.5 + 0) / 4, abs=1e-12)


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
    left = []
    for out in sorted(set(sources)):
        cells = sum(confusion for source, confusion in zip(sources, confusions, strict=True) if source != out)
        left.append(cells.trace() / cells.sum())
    accuracy = measures["accuracy"]
    assert (accuracy.lowest, accuracy.highest, accuracy.clusters) == pytest.approx((min(left), max(left), 6), abs=1e-12)
