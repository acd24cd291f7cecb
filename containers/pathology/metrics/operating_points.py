"""Operating points: chosen on the training side's scores, with what order statistics promise, and judged on the test items."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta

from pathology.contracts.binary import AtPrevalence, OperatingRow, ReadOff
from pathology.contracts.evaluation import Bounds
from pathology.contracts.intervals import Interval, closed, predictive_value, proportion, weighted_sum
from pathology.contracts.operating_points import OperatingPoint, OperatingSettings, Promise
from pathology.metrics.ranking import counts_at_thresholds, youden_threshold


def choose(truth: np.ndarray, probability: np.ndarray, settings: OperatingSettings) -> tuple[OperatingPoint, ...]:
    """The operating points for ``probability`` (n,) of items of ``truth`` (n,) that the model has not learnt from.

    Of n positives in order, the r-th lowest score finds a fraction of all positives that is 1 less a Beta(r, n + 1 − r) variable, whatever
    the scores' distribution (Wilks 1941). ``promised`` takes the highest rank, between two ranks too (Hutson 1999), whose fraction
    is the sensitivity with the confidence that ``settings`` ask for.

    Raises:
        ValueError: when a class is absent.
    """
    if not 0 < truth.sum() < len(truth):
        raise ValueError("operating points need both classes")
    ordered = np.sort(probability[truth == 1])
    count, wanted, confidence = len(ordered), settings.sensitivity, settings.confidence
    nominal = max(count - math.ceil(wanted * count - 1e-9) + 1, 1)
    rank = promising_rank(count, wanted, confidence)
    promises = [Promise(sensitivity=wanted, confidence=confidence)]
    if rank is None:
        rank = 1.0
        promises = [
            Promise(sensitivity=(1 - confidence) ** (1 / count), confidence=confidence),
            Promise(sensitivity=wanted, confidence=1 - wanted**count),
        ]
    below = np.interp(rank, np.arange(1, count + 1), ordered)
    return (
        OperatingPoint(
            name="youden", threshold=youden_threshold(truth, probability), positives=count, sensitivity=None, promises=[]
        ),
        OperatingPoint(
            name="nominal",
            threshold=float(ordered[nominal - 1]),
            positives=count,
            sensitivity=wanted,
            promises=[Promise(sensitivity=wanted, confidence=_confidence(nominal, count, wanted))],
        ),
        OperatingPoint(name="promised", threshold=float(below), positives=count, sensitivity=wanted, promises=promises),
    )


def deciding(points: Sequence[OperatingPoint], settings: OperatingSettings) -> float:
    """The threshold of the point that the settings let decide."""
    return next(point.threshold for point in points if point.name == settings.decide_by)


def promising_rank(count: int, sensitivity: float, confidence: float) -> float | None:
    """The rank, from 1 and between ranks, of the score among ``count`` positives from which on ``sensitivity`` holds with ``confidence``;
    None where the lowest does not promise that: 0.95 with 0.95 needs 59."""
    if _confidence(1, count, sensitivity) < confidence:
        return None
    return float(brentq(lambda rank: _confidence(rank, count, sensitivity) - confidence, 1.0, float(count), xtol=1e-12))


def _confidence(rank: float, count: int, sensitivity: float) -> float:
    """That at least ``sensitivity`` of all positives score no less than the one of ``rank`` among ``count``."""
    return float(beta.cdf(1 - sensitivity, rank, count + 1 - rank))


def judge(
    points: Sequence[OperatingPoint],
    decided: float,
    truth: np.ndarray,
    probability: np.ndarray,
    prevalences: Sequence[float],
    confidence: float,
) -> list[OperatingRow]:
    """Each of ``points`` on test items of ``truth`` (n,) and ``probability`` (n,), with intervals; the one at ``decided`` decides.

    Raises:
        ValueError: when a class is absent.
    """
    positive, negative = probability[truth == 1], probability[truth == 0]
    rows = []
    for point in points:
        missed, false_alarms = int((positive < point.threshold).sum()), int((negative >= point.threshold).sum())
        sensitivity = proportion(len(positive) - missed, len(positive), confidence)
        specificity = proportion(len(negative) - false_alarms, len(negative), confidence)
        rows.append(
            OperatingRow(
                point=point,
                decides=point.threshold == decided,
                missed=missed,
                false_alarms=false_alarms,
                sensitivity=Bounds.of(sensitivity),
                specificity=Bounds.of(specificity),
                at_prevalence=[at_prevalence(prevalence, sensitivity, specificity) for prevalence in prevalences],
            )
        )
    return rows


def at_prevalence(prevalence: float, sensitivity: Interval, specificity: Interval) -> AtPrevalence:
    """What a sensitivity and a specificity mean where ``prevalence`` of those tested are positive."""
    missed, false_alarms = one_less(sensitivity), one_less(specificity)
    spared = weighted_sum((100 * (1 - prevalence), specificity), (100 * prevalence, missed))
    return AtPrevalence(
        prevalence=prevalence,
        positive_predictive_value=Bounds.of(predictive_value(prevalence, sensitivity, false_alarms)),
        negative_predictive_value=Bounds.of(predictive_value(1 - prevalence, specificity, missed)),
        spared=Bounds.of(spared),
    )


def one_less(interval: Interval) -> Interval:
    """Of 1 less the estimate."""
    return closed(1 - interval.value, 1 - interval.high, 1 - interval.low, interval.confidence, interval.method)


def read_off(truth: np.ndarray, probability: np.ndarray, sensitivity: float) -> ReadOff:
    """The specificity at the highest threshold with at least ``sensitivity`` on these very items."""
    _, found, false_alarms = counts_at_thresholds(truth, probability)
    first = int(np.argmax(found >= sensitivity * found[-1] - 1e-9))
    return ReadOff(sensitivity=float(found[first] / found[-1]), specificity=1 - float(false_alarms[first] / false_alarms[-1]))
