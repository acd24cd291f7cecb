"""Of a binary classifier's measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import binomtest
from scipy.stats import t as student_t

from pathology.contracts.intervals.interval import (
    LOG,
    LOGIT,
    MANN_WHITNEY,
    MEAN_OF_TWO,
    OVERLAP,
    RATIO,
    UNDEFINED,
    WEIGHTED_SUM,
    WILSON,
    Interval,
    closed,
    wilson,
    z_of,
)

Areas = TypeVar("Areas", float, np.ndarray)

LEAST_SPREAD = 0.9
"""Of the scores' variance to the model's, the smallest that is believed: chosen by simulation, docs/statistics.md."""


def area_under_roc(truth: np.ndarray, score: np.ndarray, confidence: float = 0.95) -> Interval:
    """Of the AUROC of ``truth`` (n,) of 0 and 1 and ``score`` (n,): :func:`mann_whitney`, its variance brought to these scores.

    The model behind that variance is too small where scores have heavy tails and too large where negatives alone vary. DeLong, DeLong &
    Clarke-Pearson 1988 estimate the variance without a model, badly near 1; their ratio at the estimate scales the model's, by no less
    than :data:`LEAST_SPREAD`.

    Raises:
        ValueError: when a class is absent.
    """
    above, below = placements(truth, score)
    above, below = np.sort(above), np.sort(below)[::-1]  # the same bits in whatever order the units come
    area = float(above.mean())
    seen = sum(float(placed.var(ddof=1)) / len(placed) for placed in (above, below) if len(placed) > 1)
    modelled = hanley_mcneil(area, len(above), len(below))
    spread = max(seen / modelled, LEAST_SPREAD) if 0 < area < 1 else 1.0  # scores that are apart say nothing of their spread
    return mann_whitney(area, len(above), len(below), confidence, spread)


def placements(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fraction of negatives that score below each positive (positives,), and of positives above each negative (negatives,), in the
    order of ``score`` (n,), ties counted half (DeLong, DeLong & Clarke-Pearson 1988); ``truth`` (n,) is 0 or 1.

    Raises:
        ValueError: when a class is absent.
    """
    positives, negatives = score[truth == 1], score[truth == 0]
    if not len(positives) or not len(negatives):
        raise ValueError("an AUROC needs at least one unit of each class")
    positive, negative = np.sort(positives), np.sort(negatives)
    above = (np.searchsorted(negative, positives, "left") + np.searchsorted(negative, positives, "right")) / (2 * len(negative))
    below = (np.searchsorted(positive, negatives, "left") + np.searchsorted(positive, negatives, "right")) / (2 * len(positive))
    return above, 1 - below


def mann_whitney(value: float, positives: int, negatives: int, confidence: float = 0.95, spread: float = 1.0) -> Interval:
    """Of an AUROC (Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann–Whitney statistic. Part 2",
    method 5): the areas from which ``value`` is not farther than z standard deviations, by :func:`hanley_mcneil` times ``spread``. Never of
    width zero, at an area of 1 neither.

    Raises:
        ValueError: when a class is absent.
    """
    if not positives or not negatives:
        raise ValueError("an AUROC needs at least one unit of each class")
    z = z_of(confidence)

    def excess(area: float) -> float:
        return float((area - value) ** 2 - z * z * spread * hanley_mcneil(area, positives, negatives))

    low = brentq(excess, 0.0, value, xtol=1e-12) if value > 0 and excess(value) < 0 else _edge(excess, value, 0.0)
    high = brentq(excess, value, 1.0, xtol=1e-12) if value < 1 and excess(value) < 0 else _edge(excess, value, 1.0)
    return closed(value, low, high, confidence, MANN_WHITNEY)


def hanley_mcneil(area: Areas, positives: int, negatives: int) -> Areas:
    """Hanley and McNeil's (1982) of an AUROC, with both sample sizes of their formula replaced by the mean of the two."""
    mean = (positives + negatives) / 2 - 1
    return area * (1 - area) / (positives * negatives) * (1 + mean * (1 - area) / (2 - area) + mean * area / (1 + area))


def _edge(excess: Callable[[float], float], value: float, end: float) -> float:
    """The bound on the side of ``end`` where ``value`` itself is 0 or 1, at which the equation has a root too."""
    if value == end:
        return end
    inside = value + (end - value) * 1e-9
    return float(brentq(excess, inside, end, xtol=1e-12))


def proportion(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927), for sensitivity, specificity and accuracy.

    Raises:
        ValueError: without trials.
    """
    if trials == 0:
        raise ValueError("a proportion needs at least one trial")
    bounds = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return closed(successes / trials, float(bounds.low), float(bounds.high), confidence, WILSON)


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
    value, low, high = (2 * share / (1 + share) for share in (overlap, *wilson(overlap, trials, z_of(confidence))))
    return closed(value, low, high, confidence, OVERLAP)


def mean_of_two(first: Interval, second: Interval) -> Interval:
    """Of the mean of two independent estimates: balanced accuracy, from sensitivity and specificity. As :func:`weighted_sum`."""
    return weighted_sum((0.5, first), (0.5, second), method=MEAN_OF_TWO)


def weighted_sum(*terms: tuple[float, Interval], method: str = WEIGHTED_SUM) -> Interval:
    """Of Σ weight · estimate of independent estimates, from the interval of each: on either side the squared distances of
    the terms' bounds add up (Newcombe 1998; Zou & Donner 2008)."""
    value = sum(weight * each.value for weight, each in terms)
    sides = [
        [weight * ((each.high if (weight > 0) == upwards else each.low) - each.value) for weight, each in terms]
        for upwards in (False, True)
    ]
    down, up = (float(np.sqrt(np.sum(np.square(side)))) for side in sides)
    return closed(value, value - down, value + up, terms[0][1].confidence, method)


def predictive_value(prevalence: float, right: Interval, wrong: Interval) -> Interval:
    """Of the fraction of calls that are right where ``prevalence`` of all units are of the called class.

    ``right`` is how often units of the class are called so, ``wrong`` how often others are: sensitivity and one less specificity for a
    positive predictive value, with the prevalence of positives; specificity and one less sensitivity for a negative one, with that of
    negatives. Bounds are those of the ratio wrong / right (Donner & Zou 2012, "Closed-form confidence intervals for functions of the
    normal mean and standard deviation", § 2.3), of which it is a monotone function (Bayes). Where nothing is called, it is 0 and the
    bounds are the whole range.

    Raises:
        ValueError: for a prevalence that is not between 0 and 1.
    """
    if not 0 < prevalence < 1:
        raise ValueError(f"a prevalence of {prevalence} says who is what without a test: it lies between 0 and 1")
    if right.value == 0 and wrong.value == 0:
        return Interval(0.0, 0.0, 1.0, 0.0, right.confidence, UNDEFINED)
    odds = (1 - prevalence) / prevalence
    value, low, high = (1 / (1 + odds * ratio) for ratio in _ratio(wrong, right))
    return closed(value, min(low, high), max(low, high), right.confidence, RATIO)


def _ratio(upper: Interval, lower: Interval) -> tuple[float, float, float]:
    """Value and bounds of ``upper`` / ``lower``, infinite where the latter may be 0."""
    product = upper.value * lower.value
    bounds = []
    for sign, near, far in ((-1, upper.low, lower.high), (1, upper.high, lower.low)):
        divisor = far * (2 * lower.value - far)
        root = np.sqrt(max(product**2 - near * (2 * upper.value - near) * divisor, 0.0))
        bounds.append(float((product + sign * root) / divisor) if divisor > 0 else float("inf") if sign > 0 else 0.0)
    return upper.value / lower.value if lower.value else float("inf"), max(bounds[0], 0.0), bounds[1]


def mean_of_positives(truth: np.ndarray, loss: np.ndarray, confidence: float = 0.95) -> Interval:
    """Of the mean of ``loss`` (n,), none of it negative, over units of ``truth`` (n,) of 0 and 1: a Brier score of squared errors.

    The variance is taken within the classes, and the bounds are Student's t of n − 2 degrees of freedom on the logarithm, where a
    mean of few large values is less skewed. Where the loss does not vary there is no method, and the bounds are the value's whole range.
    """
    value = float(loss.mean())
    groups = [loss[truth == label] for label in (0, 1)]
    variance = sum(float(group.var(ddof=1)) * len(group) for group in groups if len(group) > 1) / len(loss) ** 2
    if len(loss) < 3 or variance <= 0 or value <= 0:
        return Interval(value, 0.0, 1.0, 0.0, confidence, UNDEFINED)
    width = float(student_t.ppf((1 + confidence) / 2, len(loss) - 2)) * float(np.sqrt(variance)) / value
    return closed(value, value * float(np.exp(-width)), min(value * float(np.exp(width)), 1.0), confidence, LOG)


def drawn_within_classes(truth: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """How often each unit is in each of ``resamples`` bootstrap samples (resamples, n), drawn within each class so that none lacks one.

    One entry of ``truth`` (n,) of 0 and 1 is one unit: a patient, so that slides of one patient never count as independent (Efron &
    Tibshirani 1993, ch. 13).

    Raises:
        ValueError: when a class is absent.
    """
    generator = np.random.default_rng(seed)
    weights = np.zeros((resamples, len(truth)), dtype=np.int64)
    for label in (0, 1):
        group = np.flatnonzero(truth == label)
        if not len(group):
            raise ValueError("an interval needs at least one unit of each class")
        weights[:, group] = generator.multinomial(len(group), np.full(len(group), 1 / len(group)), size=resamples)
    return weights


def on_logit_scale(value: float, draws: np.ndarray, positives: int, confidence: float = 0.95) -> Interval:
    """Of an average precision over ``positives`` (Boyd, Eng & Page 2013, with one change): the binomial standard deviation on the logit
    scale is too small where scores of negatives have heavy tails, the bootstrap's where few are positive; the larger one holds.

    A value of 1 has Wilson's lower bound of as many positives, all of them found; draws of 0 and 1 count as half a positive away.
    """
    if value == 1:
        return closed(value, proportion(positives, positives, confidence).low, 1.0, confidence, LOGIT)
    nearest = 1 / (2 * positives)
    inner, inner_draws = np.clip(value, nearest, 1 - nearest), np.clip(draws, nearest, 1 - nearest)
    binomial = 1 / np.sqrt(positives * inner * (1 - inner))
    width = z_of(confidence) * max(float(binomial), float(logit(inner_draws).std(ddof=1)))
    low, high = (float(expit(logit(inner) + side * width)) for side in (-1, 1))
    return closed(value, min(low, value), max(high, value), confidence, LOGIT)
