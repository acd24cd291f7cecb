"""Intervals over whole clusters: by loops, by hand, and where there is none."""

import numpy as np
import pytest
from pathology.contracts.intervals import Interval, proportion
from pathology.contracts.intervals.clusters import MIN_CLUSTERS, NO_INTERVAL, OF_CLUSTERS, Spread, cluster_bootstrap
from scipy.stats import t as student_t


def ratio(sums):
    """Σa / Σb, NaN where b is 0."""
    return np.where(sums[:, 1:] > 0, sums[:, :1] / np.where(sums[:, 1:] > 0, sums[:, 1:], 1), np.nan)


def test_the_interval_of_clusters_by_loops():
    """Draws in which each cluster is repeated as often as it was drawn, each cluster left out in turn, then the formula."""
    sums = np.random.default_rng(1).integers(1, 20, (17, 2)).astype(float)
    sums[:, 1] += sums[:, 0]
    sums[3] *= 12  # one cluster that holds much, so that there are fewer than 16 degrees of freedom
    (interval,) = cluster_bootstrap(ratio, sums, least=17, resamples=150, confidence=0.9, seed=4)
    ratios = []
    for times in np.random.default_rng(4).multinomial(17, np.full(17, 1 / 17), size=150):
        members = [cluster for cluster, often in enumerate(times) for _ in range(often)]
        ratios.append(sum(sums[member, 0] for member in members) / sum(sums[member, 1] for member in members))
    without = np.array([np.delete(sums[:, 0], k).sum() / np.delete(sums[:, 1], k).sum() for k in range(17)])
    deviations = without - without.mean()
    jackknife, bootstrap = np.sqrt(16 / 17 * (deviations**2).sum()), np.std(ratios, ddof=1) * np.sqrt(17 / 16)
    kurtosis = (deviations**4).mean() / (deviations**2).mean() ** 2
    assert 2 < 17 / (kurtosis - 2) < 16
    value = sums[:, 0].sum() / sums[:, 1].sum()
    width = student_t.ppf(0.95, 17 / (kurtosis - 2)) * max(jackknife, bootstrap) / (value * (1 - value))
    assert interval.value == pytest.approx(value, abs=1e-12)
    odds = value / (1 - value) * np.exp([-width, width])
    assert (interval.low, interval.high) == pytest.approx(odds / (1 + odds), abs=1e-12)
    assert interval.std == pytest.approx(max(jackknife, bootstrap), abs=1e-12) and (interval.confidence, interval.method) == (
        0.9,
        OF_CLUSTERS,
    )


def test_clusters_cover_where_units_alone_would_not():
    """30 clusters of 20 units that share an effect: the mean is held about 19 times in 20, by units alone far less often.

    The fractions of 60 trials have standard errors of 3 and 6 points at most, and the bounds lie four of them away."""
    generator = np.random.default_rng(0)
    held = {"clusters": 0, "units": 0}
    for _ in range(60):
        values = 0.5 + 0.05 * (generator.normal(0, 1, (30, 1)) + generator.normal(0, 0.5, (30, 20)))
        whole = np.stack([values.sum(axis=1), np.full(30, 20.0)], axis=1)
        alone = np.stack([values.ravel(), np.ones(600)], axis=1)
        for name, sums in (("clusters", whole), ("units", alone)):
            (interval,) = cluster_bootstrap(ratio, sums, resamples=100, seed=1)
            held[name] += interval.low <= 0.5 <= interval.high
    assert 50 <= held["clusters"] <= 60
    assert held["units"] < 35


def test_few_clusters_have_a_range_and_no_interval():
    """By hand: 1/2, 1/4 and 3/4 of 4 each; without one of them 4/8, 5/8, 3/8."""
    (spread,) = cluster_bootstrap(ratio, np.array([[2.0, 4], [1, 4], [3, 4]]), resamples=100)
    assert isinstance(spread, Spread) and not hasattr(spread, "low")
    assert (spread.value, spread.lowest, spread.highest, spread.clusters) == (0.5, 0.375, 0.625, 3)
    assert spread.std == pytest.approx(np.sqrt(2 / 3 * 2 * 0.125**2), abs=1e-12)
    assert str(spread) == "0.500 (0.375 to 0.625 as each of 3 is left out; no interval)" and spread.method == NO_INTERVAL
    sums = np.random.default_rng(1).integers(1, 20, (MIN_CLUSTERS, 2)).astype(float)
    sums[:, 1] += sums[:, 0]
    assert isinstance(cluster_bootstrap(ratio, sums, resamples=100)[0], Interval)
    assert isinstance(cluster_bootstrap(ratio, sums[1:], resamples=100)[0], Spread)


def test_what_no_method_covers_and_what_few_clusters_take_part_in_has_none():
    """Twenty clusters; the second measure is said to be covered by no method, and the third is of two clusters alone."""
    sums = np.full((20, 2), 4.0) * np.arange(1, 21)[:, None] / [1, 0.5]
    sums[::3, 0] /= 2
    part = np.ones((20, 3), bool)
    part[2:, 2] = False
    found = cluster_bootstrap(
        lambda sums: np.repeat(ratio(sums), 3, axis=1),
        sums,
        takes_part=part,
        covered=np.array([True, False, True]),
        resamples=100,
    )
    assert [type(each) for each in found] == [Interval, Spread, Spread]
    assert [each.clusters for each in found[1:]] == [20, 2]
    without = [ratio(sums.sum(axis=0)[None] - sums[k])[0, 0] for k in (0, 1)]
    assert (found[2].lowest, found[2].highest) == pytest.approx((min(without), max(without)), abs=1e-12)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_where_nothing_differs_the_bounds_are_wilsons_of_as_many_clusters(right):
    sums = np.stack([np.arange(1, 31) * right, np.arange(1, 31)], axis=1).astype(float)
    (interval,) = cluster_bootstrap(ratio, sums, resamples=100)
    expected = proportion(int(30 * right), 30)
    assert (interval.value, interval.std) == (right, 0.0)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0.1 < interval.high - interval.low < 0.13


def test_draws_without_a_value_are_left_out():
    """Only one of 30 clusters has what is below: some draws and one deletion lack it, all others give 2/4."""
    sums = np.zeros((30, 2))
    sums[0] = 2, 4
    (interval,) = cluster_bootstrap(ratio, sums, resamples=100)
    assert interval.value == 0.5 and interval.std == 0.0 and interval.low < 0.5 < interval.high
    part = np.zeros((30, 1), bool)
    part[0] = True
    (spread,) = cluster_bootstrap(ratio, sums, takes_part=part, resamples=100)
    assert (spread.value, spread.lowest, spread.highest, spread.clusters, spread.std) == (0.5, 0.5, 0.5, 1, 0.0)
    assert cluster_bootstrap(ratio, np.zeros((3, 2)), resamples=100) == [None]
    with pytest.raises(ValueError, match=r"only \d of 2 draws"):
        for seed in range(50):
            cluster_bootstrap(ratio, sums, resamples=2, seed=seed)


def test_one_cluster_has_no_interval():
    with pytest.raises(ValueError, match="two clusters"):
        cluster_bootstrap(ratio, np.ones((1, 2)))
