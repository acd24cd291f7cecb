"""Operating points on the test items, and what they mean where other fractions are positive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pathology.contracts.binary import AtPrevalence, OperatingRow, ReadOff
from pathology.contracts.evaluation import Bounds
from pathology.contracts.intervals import Interval, closed, predictive_value, proportion, weighted_sum
from pathology.contracts.operating_points import OperatingPoint
from pathology.metrics.ranking import counts_at_thresholds


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
