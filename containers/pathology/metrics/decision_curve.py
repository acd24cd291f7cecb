"""Decision curves: what acting on a probability is worth, beside treating everybody or nobody (Vickers & Elkin 2006)."""

from __future__ import annotations

import numpy as np

from pathology.contracts.binary import NetBenefit
from pathology.contracts.evaluation import Bounds
from pathology.contracts.intervals import proportion, weighted_sum

THRESHOLDS = tuple(step / 100 for step in range(1, 81))
"""From which probability on one would act; above 0.8 hardly anybody waits."""


def decision_curve(truth: np.ndarray, probability: np.ndarray, confidence: float) -> list[NetBenefit]:
    """Net benefit at each of :data:`THRESHOLDS` for ``truth`` (n,) and ``probability`` (n,), at the test's own fraction of positives.

    True positives less false positives weighted by the threshold's odds, both by items: π · sensitivity − (1 − π) · t / (1 − t) · (1 −
    specificity). Its interval takes π as known and adds up those of the two fractions.

    Raises:
        ValueError: when a class is absent.
    """
    positive, negative = probability[truth == 1], probability[truth == 0]
    if not len(positive) or not len(negative):
        raise ValueError("a decision curve needs both classes")
    prevalence = len(positive) / len(truth)
    curve = []
    for threshold in THRESHOLDS:
        odds = threshold / (1 - threshold)
        sensitivity = proportion(int((positive >= threshold).sum()), len(positive), confidence)
        false_alarms = proportion(int((negative >= threshold).sum()), len(negative), confidence)
        benefit = weighted_sum((prevalence, sensitivity), (-(1 - prevalence) * odds, false_alarms))
        everybody = prevalence - (1 - prevalence) * odds
        curve.append(NetBenefit(threshold=threshold, model=Bounds.of(benefit), everybody=everybody))
    return curve
