"""Confidence intervals, the same in training logs, evaluation.json and reports.

A method is used only where its coverage was simulated at the sizes that we have: docs/statistics.md has the figures, and
``python -m benchmarks.coverage`` makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import binomtest, norm

WILSON = "Wilson's score interval"
MANN_WHITNEY = "Newcombe's method 5"
MEAN_OF_TWO = "Newcombe's square-and-add of two Wilson intervals"
LOGIT = "on the logit scale, by the larger of the binomial and the bootstrap's standard deviation"
OVERLAP = "Wilson's score interval of the overlap of called and true"
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


def _z(confidence: float) -> float:
    return float(norm.ppf((1 + confidence) / 2))


def _closed(value: float, low: float, high: float, confidence: float, method: str) -> Interval:
    """An interval in closed form; its standard deviation is what would make a normal one as wide."""
    return Interval(value, low, high, (high - low) / (2 * _z(confidence)), confidence, method)


def area_under_roc(value: float, positives: int, negatives: int, confidence: float = 0.95) -> Interval:
    """Of an AUROC (Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann–Whitney statistic. Part 2",
    method 5): the areas from which ``value`` is not farther than z standard deviations, by Hanley and McNeil's variance with both
    sample sizes replaced by their mean less one. Never of width zero, at an area of 1 neither.

    Raises:
        ValueError: when a class is absent.
    """
    if not positives or not negatives:
        raise ValueError("an AUROC needs at least one unit of each class")
    z, mean = _z(confidence), (positives + negatives) / 2 - 1

    def excess(area: float) -> float:
        variance = area * (1 - area) / (positives * negatives) * (1 + mean * (1 - area) / (2 - area) + mean * area / (1 + area))
        return float((area - value) ** 2 - z * z * variance)

    low = brentq(excess, 0.0, value, xtol=1e-12) if value > 0 and excess(value) < 0 else _edge(excess, value, 0.0)
    high = brentq(excess, value, 1.0, xtol=1e-12) if value < 1 and excess(value) < 0 else _edge(excess, value, 1.0)
    return _closed(value, low, high, confidence, MANN_WHITNEY)


def _edge(excess: Callable[[float], float], value: float, end: float) -> float:
    """The bound on the side of ``end`` where ``value`` itself is 0 or 1, at which the equation has a root too."""
    if value == end:
        return end
    inside = value + (end - value) * 1e-9
    return float(brentq(excess, inside, end, xtol=1e-12))


def mean_of_two(first: Interval, second: Interval) -> Interval:
    """Of the mean of two independent estimates, from the interval of each (Newcombe 1998; Zou & Donner 2008): balanced accuracy, from
    sensitivity and specificity."""
    value = (first.value + second.value) / 2
    down = float(np.hypot(first.value - first.low, second.value - second.low)) / 2
    up = float(np.hypot(first.high - first.value, second.high - second.value)) / 2
    return _closed(value, value - down, value + up, first.confidence, MEAN_OF_TWO)


def f_measure(true_positives: int, false_positives: int, false_negatives: int, beta: float, confidence: float = 0.95) -> Interval:
    """Of F_β (van Rijsbergen 1979): it is 2s / (1 + s) of the overlap s of called and true, TP of TP + weighted mistakes, whose interval
    is Wilson's with as many trials as units are called or true. For β = 1 s is a proportion of those units.

    Where nothing is called or true, F is 0 and the bounds are the whole range.
    """
    trials = true_positives + false_positives + false_negatives
    if not trials:
        return Interval(0.0, 0.0, 1.0, 0.0, confidence, UNDEFINED)
    mistakes = 2 * (beta**2 * false_negatives + false_positives) / (1 + beta**2)
    overlap = true_positives / (true_positives + mistakes)
    z = _z(confidence)
    centre = (overlap + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * float(np.sqrt(overlap * (1 - overlap) / trials + z * z / (4 * trials * trials)))
    value, low, high = (2 * share / (1 + share) for share in (overlap, max(centre - half, 0.0), min(centre + half, 1.0)))
    return _closed(value, low, high, confidence, OVERLAP)


def within_classes(
    statistic: Callable[[np.ndarray, np.ndarray], float], truth: np.ndarray, score: np.ndarray, resamples: int, seed: int
) -> np.ndarray:
    """``statistic(truth, score)`` of ``resamples`` bootstrap samples (resamples,), drawn within each class so that none lacks one.

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
    return draws


def on_logit_scale(value: float, draws: np.ndarray, positives: int, confidence: float = 0.95) -> Interval:
    """Of an average precision over ``positives`` (Boyd, Eng & Page 2013, with one change): the binomial standard deviation on the logit
    scale is too small where scores of negatives have heavy tails, the bootstrap's where few are positive; the larger one holds.

    A value of 1 has Wilson's lower bound of as many positives, all of them found; draws of 0 and 1 count as half a positive away.
    """
    if value == 1:
        return _closed(value, proportion(positives, positives, confidence).low, 1.0, confidence, LOGIT)
    nearest = 1 / (2 * positives)
    inner, inner_draws = np.clip(value, nearest, 1 - nearest), np.clip(draws, nearest, 1 - nearest)
    binomial = 1 / np.sqrt(positives * inner * (1 - inner))
    width = _z(confidence) * max(float(binomial), float(logit(inner_draws).std(ddof=1)))
    low, high = (float(expit(logit(inner) + side * width)) for side in (-1, 1))
    return _closed(value, min(low, value), max(high, value), confidence, LOGIT)


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
