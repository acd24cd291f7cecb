import numpy as np
import pytest
from pathology.contracts.intervals import (
    LEAST_SPREAD,
    LOGIT,
    MANN_WHITNEY,
    WILSON,
    area_under_roc,
    drawn_within_classes,
    f_measure,
    mann_whitney,
    mean_of_two,
    on_logit_scale,
    proportion,
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
        interval = area_under_roc(truth, generator.normal(shift * truth, 1.0))
        held += interval.low <= area <= interval.high
    assert held / TRIALS >= 0.95 - 3 * 0.011


def test_the_aurocs_bounds_are_roots_of_the_equation():
    """At a bound the estimate is z standard deviations away (Newcombe 2006, method 5)."""
    found = mann_whitney(0.85, 12, 48)
    for bound in (found.low, found.high):
        variance = bound * (1 - bound) / (12 * 48) * (1 + 29 * (1 - bound) / (2 - bound) + 29 * bound / (1 + bound))
        assert abs(0.85 - bound) == pytest.approx(norm.ppf(0.975) * np.sqrt(variance), abs=1e-9)
    with pytest.raises(ValueError, match="each class"):
        mann_whitney(1.0, 3, 0)


def test_the_aurocs_variance_is_brought_to_the_scores():
    """Placements by hand: three positives above 3, 4 and 4 of four negatives; the negatives below 3, 3, 3 and 2 of three positives.

    DeLong's variance is var(.75, 1, 1)/3 + var(1, 1, 1, 2/3)/4 = 1/144 + 1/144; Hanley and McNeil's, with the mean of the sample sizes
    3.5, at 11/12 is 11/144/12 · (1 + 2.5 · (1/12)/(13/12) + 2.5 · (11/12)/(23/12)).
    """
    truth, score = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0.1, 0.2, 0.3, 0.6, 0.5, 0.7, 0.9])
    spread = (2 / 144) / (11 / 144 / 12 * (1 + 2.5 / 13 + 2.5 * 11 / 23))
    assert 0.9 < spread < 1
    found, expected = area_under_roc(truth, score), mann_whitney(11 / 12, 3, 4, spread=spread)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high), abs=1e-9)


def test_ties_count_half_and_the_spread_is_bounded_below():
    truth = np.repeat([0, 1], [4, 2])
    tied = area_under_roc(truth, np.zeros(6))
    assert tied.value == 0.5 and tied.low < 0.5 < tied.high
    assert tied == mann_whitney(0.5, 2, 4, spread=LEAST_SPREAD)


@pytest.mark.parametrize(("positives", "negatives"), [(12, 48), (3, 5)])
def test_perfect_separation_is_not_certain(positives, negatives):
    """The lower bound lies between Wilson's of a sensitivity of all positives and that of as many right calls as there are units."""
    truth = np.repeat([0, 1], [negatives, positives])
    found = area_under_roc(truth, truth.astype(float))
    assert (found.value, found.high) == (1.0, 1.0) and found.std > 0
    total = positives + negatives
    assert proportion(positives, positives).low < found.low < proportion(total, total).low


def test_the_mean_of_two_is_square_and_add():
    first, second = proportion(8, 10), proportion(30, 40)
    found = mean_of_two(first, second)
    assert found.value == pytest.approx(0.775)
    assert found.low == pytest.approx(0.775 - np.sqrt((0.8 - first.low) ** 2 + (0.75 - second.low) ** 2) / 2)
    assert found.high == pytest.approx(0.775 + np.sqrt((first.high - 0.8) ** 2 + (second.high - 0.75) ** 2) / 2)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_worked_examples(successes, trials, low, high):
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, score method."""
    found = proportion(successes, trials)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_the_worked_example_of_square_and_add():
    """Newcombe 1998, "Interval estimation for the difference between independent proportions", 56/70 − 48/80 by method 10.

    A difference is twice the mean of the first proportion and one less the second, less one.
    """
    found = mean_of_two(proportion(56, 70), proportion(80 - 48, 80))
    assert (round(2 * found.low - 1, 4), round(2 * found.high - 1, 4)) == (0.0524, 0.3339)


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


def test_draws_are_the_same_for_the_same_seed_and_lack_no_class():
    truth = np.array([0, 0, 1, 1, 0, 1])
    first = drawn_within_classes(truth, 200, 3)
    assert (first == drawn_within_classes(truth, 200, 3)).all() and first.std() > 0
    assert (first[:, truth == 1].sum(axis=1) == 3).all() and (first.sum(axis=1) == 6).all()
    with pytest.raises(ValueError, match="each class"):
        drawn_within_classes(np.ones(4), 10, 0)


def test_wilson_against_a_worked_case():
    """8 of 10: centre (0.8 + 1.96²/20)/(1 + 1.96²/10), the score interval of Wilson 1927 is 0.490 to 0.943."""
    interval = proportion(8, 10)
    assert (round(interval.low, 3), round(interval.high, 3)) == (0.490, 0.943)


def test_an_interval_says_by_which_method_it_is():
    area, precision = mann_whitney(0.9, 3, 6), on_logit_scale(0.5, np.linspace(0.4, 0.6, 9), 3)
    assert [each.method for each in (proportion(3, 9), area, precision)] == [
        WILSON,
        MANN_WHITNEY,
        LOGIT,
    ]
