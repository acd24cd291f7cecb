"""Confidence intervals, the same in training logs, evaluation.json and reports.

A method is used only where its coverage was simulated at the sizes that we have: docs/statistics.md has the figures, and
``python -m benchmarks.coverage`` makes them.
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
from pathology.contracts.intervals.clusters import MIN_CLUSTERS, cluster_bootstrap
from pathology.contracts.intervals.interval import (
    LOG,
    LOGIT,
    MANN_WHITNEY,
    MEAN_OF_TWO,
    NO_INTERVAL,
    OF_CLUSTERS,
    OVERLAP,
    PROFILE,
    RATIO,
    UNDEFINED,
    WEIGHTED_SUM,
    WILSON,
    Interval,
    Spread,
    closed,
)

__all__ = [
    "LEAST_SPREAD",
    "LOG",
    "LOGIT",
    "MANN_WHITNEY",
    "MEAN_OF_TWO",
    "MIN_CLUSTERS",
    "NO_INTERVAL",
    "OF_CLUSTERS",
    "OVERLAP",
    "PROFILE",
    "RATIO",
    "UNDEFINED",
    "WEIGHTED_SUM",
    "WILSON",
    "Interval",
    "Spread",
    "area_under_roc",
    "closed",
    "cluster_bootstrap",
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
