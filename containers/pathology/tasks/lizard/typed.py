"""How the nuclei that were found are typed, by Model Monitor's measures of several classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pathology.contracts.intervals import UNDEFINED, Interval
from pathology.contracts.intervals.clusters import Spread, cluster_bootstrap
from pathology.tasks.lizard.sums import by_source, ratio

MATCHED = ("accuracy", "weighted_precision", "weighted_recall", "weighted_f0_5", "weighted_f1", "weighted_f2")
"""Model Monitor's names for several classes."""


def _weighted(cells: np.ndarray) -> np.ndarray:
    """(n, K, K) of actual by predicted to (n, 6) in the order of MATCHED; NaN without any nucleus."""
    right = np.diagonal(cells, axis1=1, axis2=2)
    actual, called = cells.sum(axis=2), cells.sum(axis=1)
    total = actual.sum(axis=1)

    def over(values: np.ndarray) -> np.ndarray:
        return ratio((values * actual).sum(axis=1), total, empty=np.nan)

    def f(beta: float) -> np.ndarray:
        return over(ratio((1 + beta**2) * right, beta**2 * actual + called))

    accuracy = ratio(right.sum(axis=1), total, empty=np.nan)
    return np.stack([accuracy, over(ratio(right, called)), over(ratio(right, actual)), f(0.5), f(1), f(2)], axis=1)


def matched_classification(
    confusions: np.ndarray, sources: Sequence[str], *, resamples: int, confidence: float, seed: int
) -> tuple[np.ndarray, dict[str, Interval | Spread]]:
    """How the nuclei that were found are typed: the confusion (K, K) of all patches, actual by predicted, and MATCHED of it.

    ``confusions`` (patches, K, K) are those of :func:`pathology.metrics.panoptic.detect`, ``sources`` the patches' source images.
    Means are weighted by actual nuclei, as Model Monitor's; precision and F of a class that nothing is called are 0.
    Without any match each is 0 with the interval 0 to 1, and draws without any are left out.

    Raises:
        DataError: when all patches come from one source image.
    """
    pooled = confusions.sum(axis=0)
    sums = by_source(confusions, sources)
    if not pooled.any():
        return pooled, dict.fromkeys(MATCHED, Interval(0.0, 0.0, 1.0, 0.0, confidence, UNDEFINED))
    intervals = cluster_bootstrap(_weighted, sums, resamples=resamples, confidence=confidence, seed=seed)
    return pooled, {name: each for name, each in zip(MATCHED, intervals, strict=True) if each is not None}
