"""Differences of two models on the same items: by loops, by published examples, and what holds of any of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pathology.contracts.intervals import area_under_roc
from pathology.contracts.intervals.clusters import MIN_CLUSTERS, Spread, cluster_differences
from pathology.contracts.intervals.interval import wilson, z_of
from pathology.contracts.intervals.paired import (
    IDENTICAL,
    LEAST_SPREAD,
    OF_AREAS,
    ONE_MORE,
    area_difference,
    area_differences,
    mean_of_differences,
    proportion_difference,
)
from scipy.stats import t as student_t


def bounds(interval):
    return interval.value, interval.low, interval.high


def made(positives=9, negatives=30, seed=3):
    """Truth and two models' scores with ties, the first one better."""
    generator = np.random.default_rng(seed)
    truth = generator.permutation(np.repeat([0, 1], [negatives, positives]))
    first = generator.normal(size=len(truth)) + 1.1 * truth
    second = 0.7 * first + generator.normal(size=len(truth))
    return truth, np.round(first, 1), np.round(second, 1)


def delong(truth, scores):
    """DeLong, DeLong & Clarke-Pearson 1988 by loops over all pairs: areas, and covariances (2, 2) of the two classes."""
    positive, negative = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    wins = np.array([[[(s[i] > s[j]) + 0.5 * (s[i] == s[j]) for j in negative] for i in positive] for s in scores])
    return wins.mean(axis=(1, 2)), np.cov(wins.mean(axis=2)) / len(positive), np.cov(wins.mean(axis=1)) / len(negative)


def hanley_mcneil(area, positives, negatives):
    n = (positives + negatives) / 2 - 1
    return area * (1 - area) * (1 + n * (1 - area) / (2 - area) + n * area / (1 + area)) / (positives * negatives)


def test_the_bounds_are_roots_of_the_equation_by_loops():
    """At a bound the difference that was seen is t standard deviations away, of two areas that differ by the bound."""
    truth, first, second = made()
    areas, of_positives, of_negatives = delong(truth, (first, second))
    whole = of_positives + of_negatives
    parts = [matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1] for matrix in (of_positives, of_negatives)]
    t = student_t.ppf(0.95, sum(parts) ** 2 / (parts[0] ** 2 / 8 + parts[1] ** 2 / 29))
    r = whole[0, 1] / np.sqrt(whole[0, 0] * whole[1, 1])
    spread = [max(whole[k, k] / hanley_mcneil(areas[k], 9, 30), LEAST_SPREAD) for k in (0, 1)]
    found = area_difference(truth, first, second, 0.9)
    value = areas[0] - areas[1]
    assert found.value == pytest.approx(value, abs=1e-12) and (found.confidence, found.method) == (0.9, OF_AREAS)
    assert found.low < value < found.high
    for bound in (found.low, found.high):
        moved = value - bound
        one, other = (spread[k] * hanley_mcneil(min(areas[k] + sign * moved / 2, 1.0), 9, 30) for k, sign in ((0, -1), (1, 1)))
        least = ONE_MORE * (1 / (9**2 * 30) + 1 / (30**2 * 9))
        deviation = np.sqrt(one + other - 2 * r * np.sqrt(one * other) + least)
        assert abs(moved) == pytest.approx(t * deviation, abs=1e-9)


def test_values_are_those_of_the_single_models():
    truth, first, second = made(seed=8)
    found = area_difference(truth, first, second)
    assert found.value == pytest.approx(area_under_roc(truth, first).value - area_under_roc(truth, second).value, abs=1e-12)


scores = st.lists(st.integers(-4, 4), min_size=12, max_size=12)


@settings(max_examples=25, deadline=None)
@given(first=scores, second=scores, positives=st.integers(1, 11), order=st.permutations(range(12)))
def test_what_holds_of_any_two_models(first, second, positives, order):
    """The other way round it is the negative; neither the order of items nor scales matter; within −1 and 1, never of width zero."""
    truth = np.repeat([0, 1], [12 - positives, positives])
    first, second = np.array(first, float), np.array(second, float)
    ours, theirs = np.stack([first, second, np.exp(first / 4)]), np.stack([second, first, 3 + second**3])
    found = area_differences(truth, ours, theirs)
    value, low, high = found.value, found.low, found.high
    assert -1 <= low[0] <= value[0] <= high[0] <= 1
    assert (high[0] == low[0]) == np.array_equal(first, second)
    assert (-value[1], -high[1], -low[1]) == pytest.approx((value[0], low[0], high[0]), abs=1e-9)
    if not np.array_equal(first, second):
        assert (value[2], low[2], high[2]) == pytest.approx((value[0], low[0], high[0]), abs=1e-9)
    order = list(order)
    assert bounds(area_difference(truth[order], first[order], second[order])) == pytest.approx(
        (value[0], low[0], high[0]), abs=1e-9
    )


def test_identical_models_do_not_differ_and_the_same_order_is_not_certain():
    truth, first, _ = made()
    assert bounds(area_difference(truth, first, first)) == (0.0, 0.0, 0.0)
    assert area_difference(truth, first, first).method == IDENTICAL
    found = area_difference(truth, first, np.exp(first))
    assert found.value == 0 and found.low == pytest.approx(-found.high, abs=1e-12) and 0.005 < found.high < 0.2


def test_scores_that_are_apart_are_not_certain():
    """Two perfect models; a perfect one and a reversed one; constant ones."""
    truth = np.repeat([0, 1], [30, 9])
    found = area_difference(truth, truth * 1.0, truth * 2.0)
    assert found.value == 0 and found.low < -0.05 and found.high > 0.05
    turned = area_difference(truth, truth * 1.0, truth * -1.0)
    assert (turned.value, turned.high) == (1.0, 1.0) and 0 < turned.low < 0.9
    constant = area_difference(truth, np.zeros(39), np.ones(39))
    assert constant.value == 0 and constant.low < -0.1
    with pytest.raises(ValueError, match="each class"):
        area_difference(np.ones(8), np.zeros(8), np.ones(8))


def test_many_pairs_are_each_as_alone():
    truth, first, second = made()
    rows = np.stack([first, second, first]), np.stack([second, first, first])
    found = area_differences(truth, *rows)
    for index, (one, other) in enumerate(zip(*rows, strict=True)):
        alone = area_difference(truth, one, other)
        assert (found.value[index], found.low[index], found.high[index]) == pytest.approx(bounds(alone), abs=1e-12)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((36, 12, 2, 0), (0.2, 0.0569, 0.3404)),  # Newcombe 1998, table II, method 10
        ((1, 1, 7, 12), (-0.286, -0.507, -0.026)),  # Fagerland, Lydersen & Laake 2014, airways before and after transplantation
    ],
)
def test_published_examples_of_paired_proportions(counts, expected):
    assert bounds(proportion_difference(*counts)) == pytest.approx(expected, abs=6e-4)


def test_paired_proportions_that_agree_have_a_width():
    found = proportion_difference(15, 0, 0, 0)
    assert found.value == 0 and found.low == pytest.approx(-found.high) and found.high > 0.1
    half = proportion_difference(8, 0, 0, 8)
    assert half.value == 0 and 0.02 < half.high < found.high + 0.2
    turned = proportion_difference(4, 1, 9, 2)
    assert bounds(turned) == pytest.approx([-x for x in (proportion_difference(4, 9, 1, 2).value, proportion_difference(4, 9, 1, 2).high, proportion_difference(4, 9, 1, 2).low)])  # fmt: skip
    with pytest.raises(ValueError, match="trial"):
        proportion_difference(0, 0, 0, 0)


def test_the_mean_of_two_differences_is_square_and_add():
    first, second = proportion_difference(9, 4, 1, 2), proportion_difference(30, 2, 9, 5)
    found = mean_of_differences(first, second)
    assert found.value == pytest.approx((3 / 16 - 7 / 46) / 2)
    assert found.low == pytest.approx(found.value - np.hypot(first.value - first.low, second.value - second.low) / 2)


def ratio(sums):
    """Σa / Σb."""
    return sums[:, :1] / sums[:, 1:]


def clusters_of(generator, count):
    """Sums (count, 2) of two models on the same clusters: what is right, and of how many."""
    whole = generator.integers(20, 60, count)
    return [np.stack([generator.binomial(whole, rate), whole], axis=1).astype(float) for rate in (0.8, 0.7)]


def test_differences_over_clusters_by_loops():
    """Draws in which each cluster is repeated as often as it was drawn, in both models; each left out in turn, then the formula."""
    first, second = clusters_of(np.random.default_rng(2), 25)
    first[3], second[3] = [600, 1200], [300, 1200]  # holds much: fewer than 24 degrees of freedom
    (found,) = cluster_differences(ratio, first, second, resamples=150, confidence=0.9, seed=4)

    def difference(members):
        ours, theirs = (sums[members].sum(axis=0) for sums in (first, second))
        return ours[0] / ours[1] - theirs[0] / theirs[1]

    draws = [
        difference([cluster for cluster, often in enumerate(times) for _ in range(often)])
        for times in np.random.default_rng(4).multinomial(25, np.full(25, 1 / 25), size=150)
    ]
    deviations = np.array([difference([k for k in range(25) if k != left]) for left in range(25)])
    deviations -= deviations.mean()
    deviation = max(np.sqrt(24 / 25 * (deviations**2).sum()), np.std(draws, ddof=1) * np.sqrt(25 / 24))
    freedom = np.clip(25 / ((deviations**4).mean() / (deviations**2).mean() ** 2 - 2), 2, 24)
    half = student_t.ppf(0.95, freedom) * deviation
    value = difference(list(range(25)))
    assert bounds(found) == pytest.approx((value, value - half, value + half), abs=1e-12)


def test_differences_over_clusters_at_their_edges():
    first, second = clusters_of(np.random.default_rng(2), MIN_CLUSTERS)
    (same,) = cluster_differences(ratio, first, first.copy(), resamples=100)
    assert bounds(same) == (0.0, 0.0, 0.0)
    (doubled,) = cluster_differences(ratio, first, 2 * first, resamples=100)  # other sums, the same ratio everywhere
    far = 1 - wilson(1.0, MIN_CLUSTERS, z_of(0.95))[0]
    assert bounds(doubled) == pytest.approx((0.0, -far, far))
    (found,), (turned,) = (cluster_differences(ratio, *pair, resamples=100) for pair in ((first, second), (second, first)))
    assert bounds(found) == pytest.approx([-turned.value, -turned.high, -turned.low], abs=1e-12)
    (few,) = cluster_differences(ratio, first[:-1], second[:-1], resamples=100)
    assert isinstance(few, Spread) and few.lowest <= few.value <= few.highest
    with pytest.raises(ValueError, match="one shape"):
        cluster_differences(ratio, first, second[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("size", [(300, 60), (80, 16)])
@pytest.mark.parametrize("areas", [(0.95, 0.95), (0.95, 0.8)])
def test_coverage_at_our_sizes(size, areas):
    """600 pairs have a standard error of 1 point at 94 %; docs/statistics.md has the whole table."""
    from benchmarks.comparison import Pair, measure

    found = measure(Pair(*size, "normal", areas, 0.8), 600)
    assert found[""] >= 0.95 - 3 * 0.01 and found["identical"] == 0 and found["narrowest"] > 0
