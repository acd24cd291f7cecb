"""Confidence intervals, the same in training logs, evaluation.json and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

WILSON = "Wilson's score interval"
WITHIN_CLASSES = "percentile bootstrap within each class"
OF_CLUSTERS = "percentile bootstrap of whole clusters"
UNDEFINED = "no method (undefined on this test: the bounds are the whole range)"
"""What reports call the methods."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its confidence interval by ``method``, and the standard deviation of its resamples."""

    value: float
    low: float
    high: float
    std: float
    confidence: float = 0.95
    method: str = ""

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.confidence:.0%} interval {self.low:.3f} to {self.high:.3f})"


def stratified_bootstrap(
    statistic: Callable[[np.ndarray, np.ndarray], float],
    truth: np.ndarray,
    score: np.ndarray,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of ``statistic(truth, score)`` over units, drawn within each class so that no draw lacks one.

    One row of ``truth`` (n,) of 0 and 1 and ``score`` (n,) is one unit: a patient, so that slides of one patient never count
    as independent (Efron & Tibshirani 1993, ch. 13).

    Raises:
        ValueError: when a class is absent.
    """
    groups = [np.flatnonzero(truth == value) for value in (0, 1)]
    if any(len(group) == 0 for group in groups):
        raise ValueError("an interval needs at least one unit of each class")
    generator = np.random.default_rng(seed)
    draws = np.empty(resamples)
    for index in range(resamples):
        chosen = np.concatenate([generator.choice(group, size=len(group)) for group in groups])
        draws[index] = statistic(truth[chosen], score[chosen])
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(statistic(truth, score)), float(low), float(high), float(draws.std(ddof=1)), confidence, WITHIN_CLASSES)


def proportion(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927), for sensitivity, specificity and accuracy.

    Raises:
        ValueError: without trials.
    """
    if trials == 0:
        raise ValueError("a proportion needs at least one trial")
    bounds = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    value = successes / trials
    return Interval(value, bounds.low, bounds.high, float(np.sqrt(value * (1 - value) / trials)), confidence, WILSON)


def cluster_bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    sums: np.ndarray,
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Interval | None]:
    """Percentile bootstrap of measures that are functions of sums, over whole clusters drawn with replacement.

    ``sums`` (clusters, …) are summed within each cluster, a source image say, whose patches are not independent (Davison & Hinkley
    1997, § 3.8). ``statistic`` makes of (n, …) sums over clusters (n, measures); each draw is a row of them.
    Where a draw leaves a measure without a value (NaN), its bounds and standard deviation are those of the draws that have one. A measure
    without a value on the whole data is None.

    Raises:
        ValueError: with fewer than two clusters, or when fewer than two draws give a measure a value.
    """
    clusters = len(sums)
    if clusters < 2:
        raise ValueError("an interval needs at least two clusters")
    weights = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    draws = statistic(np.tensordot(weights.astype(float), sums, axes=1))
    intervals: list[Interval | None] = []
    for value, column in zip(statistic(sums.sum(axis=0, keepdims=True))[0], draws.T, strict=True):
        if np.isnan(value):
            intervals.append(None)
            continue
        known = column[~np.isnan(column)]
        if len(known) < 2:
            raise ValueError(f"only {len(known)} of {resamples} draws have a value; draw more")
        low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
        intervals.append(Interval(float(value), float(low), float(high), float(known.std(ddof=1)), confidence, OF_CLUSTERS))
    return intervals
