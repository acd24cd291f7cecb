"""Operating points, chosen on the training side's scores, with what order statistics promise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import beta

from pathology.contracts.operating_points import OperatingPoint, OperatingSettings, Promise
from pathology.metrics.ranking import youden_threshold


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
