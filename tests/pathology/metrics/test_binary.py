"""Scores at a threshold where they are degenerate; the ordinary case is recomputed in test_evaluate_msi."""

import numpy as np
import pytest
from pathology.contracts.intervals import UNDEFINED
from pathology.metrics.binary import Confusion, Scores


def scores(truth, probability, threshold=0.5, confidence=0.95):
    return Scores(np.array(truth), np.array(probability), threshold, resamples=200, confidence=confidence, seed=0)


def test_nothing_called_positive():
    empty = scores([0, 0, 0, 1, 1], [0.1, 0.2, 0.3, 0.2, 0.4])
    intervals = empty.intervals()
    assert (intervals["precision"].value, intervals["precision"].low, intervals["precision"].high) == (0, 0, 1)
    assert intervals["f1"].value == 0
    assert intervals["sensitivity"].value == 0
    assert intervals["sensitivity"].high > 0.4  # two patients prove little
    assert empty.metrics(intervals).confusion_matrix == {"0": {"0": 3, "1": 0}, "1": {"0": 2, "1": 0}}


def test_nothing_called_negative():
    """NPV is then as undefined as precision is where nothing is called positive."""
    npv = scores([0, 0, 1, 1, 1], [0.6, 0.7, 0.8, 0.9, 0.9]).intervals()["npv"]
    assert (npv.value, npv.low, npv.high, npv.method) == (0, 0, 1, UNDEFINED)


def test_predictive_values_are_wilsons_of_what_was_called():
    """By hand: 3 are called positive, 2 of them are; 5 negative, 4 of them are. Wilson's bounds by Newcombe 1998's formula."""
    found = scores([0, 0, 0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.6, 0.2, 0.8, 0.9]).intervals()
    assert (found["precision"].value, found["npv"].value) == (pytest.approx(2 / 3), pytest.approx(4 / 5))
    z, n, p = 1.959963984540054, 5, 0.8
    centre, half = (2 * n * p + z * z) / (2 * (n + z * z)), z * np.sqrt(z * z + 4 * n * p * (1 - p)) / (2 * (n + z * z))
    assert (found["npv"].low, found["npv"].high) == pytest.approx((centre - half, centre + half), abs=1e-12)


def test_perfect_separation_is_never_certain():
    """Bounds in line with Wilson's of sensitivity: 12 of 12 is 0.757 to 1."""
    perfect = scores([1] * 12 + [0] * 48, [0.9] * 12 + [0.1] * 48).intervals()
    assert perfect["sensitivity"].low == pytest.approx(0.757, abs=1e-3)
    for name in ("auroc", "average_precision", "balanced_accuracy", "f1", "f0_5", "f2"):
        assert (perfect[name].value, perfect[name].high) == (1.0, 1.0)
        assert 0.7 < perfect[name].low < 0.95, name
    few = scores([1] * 3 + [0] * 5, [0.9] * 3 + [0.1] * 5).intervals()
    assert all(0.2 < few[name].low < 0.75 for name in ("auroc", "average_precision", "balanced_accuracy", "f1"))
    wrong = scores([0] * 3 + [1] * 5, [0.9] * 3 + [0.1] * 5).intervals()["auroc"]
    assert (wrong.value, wrong.low) == (0, 0) and 0.2 < wrong.high < 0.6


def test_every_measure_is_scikit_learns():
    from sklearn import metrics

    generator = np.random.default_rng(0)
    truth = (generator.random(80) < 0.3).astype(int)
    probability = np.round(np.clip(generator.normal(0.35 + 0.2 * truth, 0.2), 0, 1), 2)
    called = probability >= 0.5
    found = scores(truth, probability).intervals()
    assert found["auroc"].value == pytest.approx(metrics.roc_auc_score(truth, probability), abs=1e-9)
    assert found["average_precision"].value == pytest.approx(metrics.average_precision_score(truth, probability), abs=1e-9)
    assert found["balanced_accuracy"].value == pytest.approx(metrics.balanced_accuracy_score(truth, called), abs=1e-9)
    for name, beta in (("f0_5", 0.5), ("f1", 1), ("f2", 2)):
        assert found[name].value == pytest.approx(metrics.fbeta_score(truth, called, beta=beta), abs=1e-9)
    assert found["brier"].value == pytest.approx(metrics.brier_score_loss(truth, probability), abs=1e-9)
    assert all(each.low < each.value < each.high for each in found.values())
    unbounded = ("calibration_intercept", "calibration_slope")
    assert all(each.low >= 0 and each.high <= 1 for name, each in found.items() if name not in unbounded)


def test_a_wider_confidence_is_a_wider_interval():
    truth, probability = [0, 1] * 20, list(np.linspace(0.1, 0.9, 40))
    narrow, wide = (scores(truth, probability, confidence=level).intervals() for level in (0.8, 0.99))
    for name in ("auroc", "accuracy", "f1"):
        assert wide[name].low < narrow[name].low <= narrow[name].high < wide[name].high


def test_confusion():
    cells = Confusion.of(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]))
    assert cells == Confusion(true_negatives=1, false_positives=1, false_negatives=1, true_positives=2)


def test_fewer_patients_than_calibration_bins():
    groups = scores([0, 1, 1], [0.2, 0.7, 0.9]).calibration()
    assert [(group.n, group.positives) for group in groups] == [(1, 0), (1, 1), (1, 1)]


def test_a_small_site_has_counts_alone():
    rows = scores([0, 1, 1, 0, 1], [0.1, 0.9, 0.2, 0.8, 0.7]).by_site(["A", "A", "B", "A", ""])
    assert [(row.site, row.n, row.positives, row.found, row.right, row.auroc) for row in rows] == [
        ("A", 3, 1, 1, 1, None),
        ("", 1, 1, 1, 0, None),
        ("B", 1, 1, 0, 0, None),
    ]


@pytest.mark.parametrize(("positives", "negatives", "has"), [(12, 48, True), (11, 60, False), (30, 47, False)])
def test_a_site_has_an_auroc_where_its_coverage_is_known(positives, negatives, has):
    from pathology.contracts.intervals import area_under_roc

    truth = [1] * positives + [0] * negatives
    score = list(np.linspace(0.4, 0.9, positives)) + list(np.linspace(0.1, 0.6, negatives))
    (row,) = scores(truth, score).by_site(["A"] * len(truth))
    assert (row.auroc is not None) is has
    if row.auroc:
        above = np.mean([[(one > other) + (one == other) / 2 for other in score[positives:]] for one in score[:positives]])
        expected = area_under_roc(np.array(truth), np.array(score))
        assert row.auroc.value == pytest.approx(above)
        assert (row.auroc.value, row.auroc.low, row.auroc.high) == pytest.approx((expected.value, expected.low, expected.high))
