"""Scores at a threshold where they are degenerate; the ordinary case is recomputed in test_evaluate_msi."""

import numpy as np
import pytest
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


def test_a_wider_confidence_is_a_wider_interval():
    truth, probability = [0, 1] * 20, list(np.linspace(0.1, 0.9, 40))
    narrow, wide = (scores(truth, probability, confidence=level).intervals() for level in (0.8, 0.99))
    for name in ("auroc", "accuracy", "f1"):
        assert wide[name].low < narrow[name].low <= narrow[name].high < wide[name].high


def test_confusion():
    cells = Confusion.of(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]))
    assert cells == Confusion(true_negatives=1, false_positives=1, false_negatives=1, true_positives=2)
    assert cells.balanced_accuracy() == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_fewer_patients_than_calibration_bins():
    groups = scores([0, 1, 1], [0.2, 0.7, 0.9]).calibration()
    assert [(group.n, group.positives) for group in groups] == [(1, 0), (1, 1), (1, 1)]


def test_a_site_with_one_class_has_no_auroc():
    rows = scores([0, 1, 1, 0, 1], [0.1, 0.9, 0.8, 0.3, 0.2]).by_site(["A", "A", "B", "A", ""])
    assert [(row.site, row.n, row.positives, row.auroc) for row in rows] == [
        ("A", 3, 1, 1.0),
        ("", 1, 1, None),
        ("B", 1, 1, None),
    ]
