"""Confidence intervals, the same in training logs, evaluation.json and reports.

A method is used only where its coverage was simulated at the sizes that we have: docs/statistics.md has the figures, and
``python -m benchmarks.coverage`` makes them. Those over whole clusters are in :mod:`pathology.contracts.intervals.clusters`.
"""

from pathology.contracts.intervals.binary import (
    LEAST_SPREAD,
    area_under_roc,
    drawn_within_classes,
    f_measure,
    mann_whitney,
    mean_of_positives,
    mean_of_two,
    on_logit_scale,
    predictive_value,
    proportion,
    weighted_sum,
)
from pathology.contracts.intervals.interval import (
    LOG,
    LOGIT,
    MANN_WHITNEY,
    MEAN_OF_TWO,
    OVERLAP,
    PROFILE,
    RATIO,
    UNDEFINED,
    WEIGHTED_SUM,
    WILSON,
    Interval,
    closed,
)

__all__ = [
    "LEAST_SPREAD",
    "LOG",
    "LOGIT",
    "MANN_WHITNEY",
    "MEAN_OF_TWO",
    "OVERLAP",
    "PROFILE",
    "RATIO",
    "UNDEFINED",
    "WEIGHTED_SUM",
    "WILSON",
    "Interval",
    "area_under_roc",
    "closed",
    "drawn_within_classes",
    "f_measure",
    "mann_whitney",
    "mean_of_positives",
    "mean_of_two",
    "on_logit_scale",
    "predictive_value",
    "proportion",
    "weighted_sum",
]
