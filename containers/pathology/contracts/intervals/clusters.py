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
    clusters = len(sums)
    if clusters < 2:
        raise ValueError("an interval needs at least two clusters")
    total = sums.sum(axis=0)
    values, without = statistic(total[None])[0], statistic(total - sums)
    weights = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    draws = statistic(np.tensordot(weights.astype(float), sums, axes=1))
    part = np.ones((clusters, len(values)), bool) if takes_part is None else takes_part
    method = np.ones(len(values), bool) if covered is None else covered
    return [
        None
        if np.isnan(value)
        else _of_clusters(
            float(value), without[part[:, k], k], draws[:, k], bool(method[k]) and part[:, k].sum() >= least, confidence
        )
        for k, value in enumerate(values)
    ]


def _of_clusters(value: float, without: np.ndarray, draws: np.ndarray, covered: bool, confidence: float) -> Interval | Spread:
    """Of one measure: its ``value``, what it is without each of the clusters that take part (c,), and of each draw."""
    clusters, left = len(without), without[~np.isnan(without)]
    deviations = left - left.mean() if len(left) else np.zeros(1)
    jackknife = float(np.sqrt((clusters - 1) / max(clusters, 1) * (deviations**2).sum()))
    if not covered:
        lowest, highest = (float(left.min()), float(left.max())) if len(left) else (value, value)
        return Spread(value, lowest, highest, clusters, jackknife)
    known = draws[~np.isnan(draws)]
    if len(known) < 2:
        raise ValueError(f"only {len(known)} of {len(draws)} draws have a value; draw more")
    deviation = max(jackknife, float(known.std(ddof=1)) * np.sqrt(clusters / (clusters - 1)))
    if deviation < NO_DIFFERENCE or not 0 < value < 1:
        low, high = wilson(value, clusters, z_of(confidence))
        return Interval(value, low, high, deviation, confidence, OF_CLUSTERS)
    square = deviations**2
    kurtosis = float((square**2).mean() / square.mean() ** 2) if square.any() else 3.0
    freedom = min(clusters - 1, max(clusters / max(kurtosis - 2, 1e-9), 2))
    width = float(student_t.ppf((1 + confidence) / 2, freedom)) * deviation / (value * (1 - value))
    low, high = (float(expit(logit(value) + side * width)) for side in (-1, 1))
    return Interval(value, low, high, deviation, confidence, OF_CLUSTERS)
