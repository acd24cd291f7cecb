import numpy as np
import pytest
from pathology.contracts.intervals import (
    LOGIT,
    MANN_WHITNEY,
    WILSON,
    area_under_roc,
    f_measure,
    mean_of_two,
    on_logit_scale,
    proportion,
    within_classes,
)
from scipy.stats import norm

TRIALS = 400
"""Of that many intervals the fraction that holds the truth has a standard error of 1.1 points."""


@pytest.mark.parametrize(("patients", "positives", "area"), [(60, 12, 0.80), (60, 12, 0.96), (83, 15, 0.92), (300, 60, 0.97)])
def test_the_aurocs_interval_covers_at_our_sizes(patients, positives, area):
    """Scores N(d, 1) against N(0, 1) have AUROC Φ(d/√2). docs/statistics.md has the whole table; here three errors below 0.95."""
    generator = np.random.default_rng(0)
    truth = np.repeat([0, 1], [patients - positives, positives])
    shift = np.sqrt(2) * norm.ppf(area)
    held = 0
    for _ in range(TRIALS):
        interval = area_under_roc(fraction_of_pairs(truth, generator.normal(shift * truth, 1.0)), positives, patients - positives)
        held += interval.low <= area <= interval.high
    assert held / TRIALS >= 0.95 - 3 * 0.011


def test_the_aurocs_bounds_are_roots_of_the_equation():
    """At a bound the estimate is z standard deviations away (Newcombe 2006, method 5)."""
    found = area_under_roc(0.85, 12, 48)
    for bound in (found.low, found.high):
        variance = bound * (1 - bound) / (12 * 48) * (1 + 29 * (1 - bound) / (2 - bound) + 29 * bound / (1 + bound))
        assert abs(0.85 - bound) == pytest.approx(norm.ppf(0.975) * np.sqrt(variance), abs=1e-9)
    with pytest.raises(ValueError, match="each class"):
        area_under_roc(1.0, 3, 0)


def test_the_mean_of_two_is_square_and_add():
    first, second = proportion(8, 10), proportion(30, 40)
    found = mean_of_two(first, second)
    assert found.value == pytest.approx(0.775)
    assert found.low == pytest.approx(0.775 - np.sqrt((0.8 - first.low) ** 2 + (0.75 - second.low) ** 2) / 2)
    assert found.high == pytest.approx(0.775 + np.sqrt((first.high - 0.8) ** 2 + (second.high - 0.75) ** 2) / 2)


def test_the_f_measure_follows_from_wilsons_of_the_overlap():
    overlap = proportion(10, 17)
    found = f_measure(10, 4, 3, 1.0)
    bounds = [2 * share / (1 + share) for share in (overlap.value, overlap.low, overlap.high)]
    assert (found.value, found.low, found.high) == pytest.approx(bounds, abs=1e-12)
    nothing = f_measure(0, 0, 0, 1.0)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 1)


def test_on_the_logit_scale_the_larger_deviation_holds():
    steady, wild = np.full(50, 0.8), np.linspace(0.3, 0.99, 50)
    narrow, wide = (on_logit_scale(0.8, draws, 12) for draws in (steady, wild))
    assert wide.low < narrow.low < 0.8 < narrow.high < wide.high
    certain = on_logit_scale(1.0, np.ones(50), 12)
    assert 0.6 < certain.low < 0.9 and certain.high == 1.0


def fraction_of_pairs(truth, score):
    """AUROC: how often one of class 1 scores more than one of class 0, none of them alike."""
    ranks = np.empty(len(score))
    ranks[np.argsort(score)] = np.arange(1, len(score) + 1)
    positive = truth.sum()
    return (ranks[truth == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(score) - positive))


def test_bootstrap_is_the_same_for_the_same_seed_and_lacks_no_class():
    from sklearn.metrics import roc_auc_score

    truth, score = np.array([0, 0, 1, 1, 0, 1]), np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])
    first = within_classes(roc_auc_score, truth, score, 200, 3)
    assert (first == within_classes(roc_auc_score, truth, score, 200, 3)).all() and first.std() > 0
    with pytest.raises(ValueError, match="each class"):
        within_classes(roc_auc_score, np.ones(4), np.arange(4.0), 10, 0)


def test_wilson_against_a_worked_case():
    """8 of 10: centre (0.8 + 1.96²/20)/(1 + 1.96²/10), the score interval of Wilson 1927 is 0.490 to 0.943."""
    interval = proportion(8, 10)
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.490, 0.943)


def test_an_interval_says_by_which_method_it_is():
    area, precision = area_under_roc(0.9, 3, 6), on_logit_scale(0.5, np.linspace(0.4, 0.6, 9), 3)
    assert [each.method for each in (proportion(3, 9), area, precision)] == [
        WILSON,
        MANN_WHITNEY,
        LOGIT,
    ]
