"""Intervals of measures over whole clusters, such as source images, whose patches are not independent; and what stands in their place.

docs/statistics.md has their coverage, and ``python -m benchmarks.nuclear_coverage`` makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student_t

from pathology.contracts.intervals.interval import Interval, wilson, z_of

OF_CLUSTERS = "Student's t on the logit scale, by the larger standard deviation of jackknife and bootstrap over whole clusters"
DIFFERENCE_OF_CLUSTERS = (
    "Student's t, by the larger standard deviation of jackknife and bootstrap over whole clusters, of both models alike"
)
NO_INTERVAL = "no confidence interval, but the range of the value as each cluster in turn is left out"
"""What reports call the methods."""


@dataclass(frozen=True)
class Spread:
    """An estimate without an interval: the ``lowest`` and ``highest`` of it as each of the ``clusters`` in turn is left out.

    That range is no confidence interval, and far narrower than one. ``std`` is the jackknife's standard deviation.
    """

    value: float
    lowest: float
    highest: float
    clusters: int
    std: float
    method: str = NO_INTERVAL

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.lowest:.3f} to {self.highest:.3f} as each of {self.clusters} is left out; no interval)"


NO_DIFFERENCE = 1e-12
"""Below it a standard deviation is rounding."""


MIN_CLUSTERS = 20
"""Fewer clusters have no interval. It is the least simulated number from which on every measure of nuclei over all classes is covered
at 93 % or more of a nominal 95 %, also where one source image in ten is far worse than the others (docs/statistics.md)."""


def cluster_bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    sums: np.ndarray,
    *,
    takes_part: np.ndarray | None = None,
    covered: np.ndarray | None = None,
    least: int = MIN_CLUSTERS,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Interval | Spread | None]:
    """Intervals of measures between 0 and 1 that are functions of sums over whole clusters, a source image say, whose patches are not
    independent.

    ``sums`` (clusters, …) are those of each cluster. ``statistic`` makes of (n, …) sums over clusters (n, measures). ``takes_part``
    (clusters, measures) bool says which clusters have any of what a measure is of; all without it. ``covered`` (measures,) bool is
    false for measures that no method covers. Those, and measures in which fewer than ``least`` clusters take part, have a
    :class:`Spread`; a measure without a value (NaN) on the whole data is None.

    The interval is symmetric on the logit scale: the larger of the standard deviations of the delete-one jackknife (Shao & Tu 1995,
    § 2.1) and of the bootstrap of c whole clusters (Davison & Hinkley 1997, § 3.8), the latter times √(c / (c − 1)), by the delta method,
    times a quantile of Student's t. Where few clusters hold most of what counts, it has fewer than c − 1 degrees of freedom:
    c / (κ − 2), at least 2, with the kurtosis κ of the jackknife's deviations, which simulation chose over Satterthwaite's 2c / (κ − 1).
    Where no cluster makes a difference, as when all is right, the bounds are Wilson's of as many trials as clusters. Draws and deletions
    that leave a measure without a value are left out.

    Raises:
        ValueError: with fewer than two clusters, or when fewer than two draws give a measure a value.
    """
    values, without, draws = _resampled(statistic, sums, resamples, seed)
    part = np.ones((len(sums), len(values)), bool) if takes_part is None else takes_part
    method = np.ones(len(values), bool) if covered is None else covered
    return [
        None
        if np.isnan(value)
        else _of_clusters(
            float(value), without[part[:, k], k], draws[:, k], bool(method[k]) and part[:, k].sum() >= least, confidence
        )
        for k, value in enumerate(values)
    ]


def _resampled(
    statistic: Callable[[np.ndarray], np.ndarray], sums: np.ndarray, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of all clusters (measures,), without each (clusters, measures), and of bootstrap samples (resamples, measures).

    Raises:
        ValueError: with fewer than two clusters.
    """
    clusters = len(sums)
    if clusters < 2:
        raise ValueError("an interval needs at least two clusters")
    total = sums.sum(axis=0)
    weights = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    return statistic(total[None])[0], statistic(total - sums), statistic(np.tensordot(weights.astype(float), sums, axes=1))


def cluster_differences(
    statistic: Callable[[np.ndarray], np.ndarray],
    first: np.ndarray,
    second: np.ndarray,
    *,
    takes_part: np.ndarray | None = None,
    covered: np.ndarray | None = None,
    least: int = MIN_CLUSTERS,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Interval | Spread | None]:
    """Of each measure of ``first`` (clusters, …) less the same of ``second``, two models' sums over the very same clusters.

    As :func:`cluster_bootstrap`, which says what the arguments are, on the plain scale: every cluster that is left out or drawn is so for
    both. Where both models' sums are the same the bounds are 0 and 0; where they are not and no cluster makes a difference, they are as
    far as Wilson's lower bound of as many trials as clusters is from 1. None reaches beyond −1 and 1.

    Raises:
        ValueError: as :func:`cluster_bootstrap`, or when the models differ in shape.
    """
    if first.shape != second.shape:
        raise ValueError(f"sums of the same clusters have one shape, not {first.shape} and {second.shape}")
    of_each = (_resampled(statistic, sums, resamples, seed) for sums in (first, second))
    values, without, draws = (ours - theirs for ours, theirs in zip(*of_each, strict=True))
    part = np.ones((len(first), len(values)), bool) if takes_part is None else takes_part
    method = np.ones(len(values), bool) if covered is None else covered
    same = np.array_equal(first, second)
    return [
        None
        if np.isnan(value)
        else _of_difference(
            float(value), without[part[:, k], k], draws[:, k], bool(method[k]) and part[:, k].sum() >= least, confidence, same
        )
        for k, value in enumerate(values)
    ]


def _of_difference(
    value: float, without: np.ndarray, draws: np.ndarray, covered: bool, confidence: float, same: bool
) -> Interval | Spread:
    """Of one measure, as :func:`_of_clusters`; ``same``: of two models that are the same on every cluster."""
    if not covered:
        return _range(value, without)
    deviation, freedom = _deviation(without, draws)
    if same:
        half = 0.0
    elif deviation < NO_DIFFERENCE:
        half = 1 - wilson(1.0, len(without), z_of(confidence))[0]
    else:
        half = float(student_t.ppf((1 + confidence) / 2, freedom)) * deviation
    return Interval(value, max(value - half, -1.0), min(value + half, 1.0), deviation, confidence, DIFFERENCE_OF_CLUSTERS)


def _of_clusters(value: float, without: np.ndarray, draws: np.ndarray, covered: bool, confidence: float) -> Interval | Spread:
    """Of one measure: its ``value``, what it is without each of the clusters that take part (c,), and of each draw."""
    if not covered:
        return _range(value, without)
    deviation, freedom = _deviation(without, draws)
    if deviation < NO_DIFFERENCE or not 0 < value < 1:
        low, high = wilson(value, len(without), z_of(confidence))
        return Interval(value, low, high, deviation, confidence, OF_CLUSTERS)
    width = float(student_t.ppf((1 + confidence) / 2, freedom)) * deviation / (value * (1 - value))
    low, high = (float(expit(logit(value) + side * width)) for side in (-1, 1))
    return Interval(value, low, high, deviation, confidence, OF_CLUSTERS)


def _range(value: float, without: np.ndarray) -> Spread:
    left = without[~np.isnan(without)]
    lowest, highest = (float(left.min()), float(left.max())) if len(left) else (value, value)
    return Spread(value, lowest, highest, len(without), _jackknife(without)[0])


def _jackknife(without: np.ndarray) -> tuple[float, np.ndarray]:
    """The standard deviation of the estimate, and by how much each cluster that has a value when it is left out moves it."""
    left = without[~np.isnan(without)]
    deviations = left - left.mean() if len(left) else np.zeros(1)
    return float(np.sqrt((len(without) - 1) / max(len(without), 1) * (deviations**2).sum())), deviations


def _deviation(without: np.ndarray, draws: np.ndarray) -> tuple[float, float]:
    """The larger of the jackknife's and the bootstrap's standard deviation, and Student's degrees of freedom."""
    clusters, known = len(without), draws[~np.isnan(draws)]
    if len(known) < 2:
        raise ValueError(f"only {len(known)} of {len(draws)} draws have a value; draw more")
    jackknife, deviations = _jackknife(without)
    square = deviations**2
    kurtosis = float((square**2).mean() / square.mean() ** 2) if square.any() else 3.0
    freedom = min(clusters - 1, max(clusters / max(kurtosis - 2, 1e-9), 2))
    return max(jackknife, float(known.std(ddof=1)) * np.sqrt(clusters / (clusters - 1))), freedom
