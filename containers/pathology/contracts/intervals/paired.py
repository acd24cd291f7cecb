"""Differences of two models' scores on the very same items, with their intervals.

docs/statistics.md has what was seen of them in simulation, and ``python -m benchmarks.comparison`` makes it. Differences of measures over
whole clusters are in :mod:`pathology.contracts.intervals.clusters`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from pathology.contracts.intervals.binary import hanley_mcneil, placements, proportion, weighted_sum
from pathology.contracts.intervals.interval import Interval, closed

OF_AREAS = "areas that differ by no more than t standard deviations, by DeLong's covariance brought to each difference"
OF_PROPORTIONS = "Newcombe's square-and-add of two Wilson intervals of the same units"
MEAN_OF_DIFFERENCES = "square-and-add of the differences of sensitivity and of specificity"
IDENTICAL = "none needed: both models answer the same for every item"
"""What reports call the methods."""

LEAST_SPREAD = 0.7
"""Of the scores' variance to the model's, the smallest that is believed of one model in a pair: chosen by simulation, as is"""
ONE_MORE = 0.25
"""the variance that is always added, in units of what one positive adds that changes places with √negatives in one model alone."""
STEPS = 40
"""Halvings of the range of a bound; they leave less than 1e-11."""


@dataclass(frozen=True)
class Differences:
    """Of many pairs of models: the differences and their bounds, (pairs,) each."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def area_difference(truth: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Interval:
    """Of the AUROC of ``first`` (n,) less that of ``second`` (n,), on ``truth`` (n,) of 0 and 1; see :func:`area_differences`."""
    found = area_differences(truth, first[None], second[None], confidence)
    method = IDENTICAL if np.array_equal(first, second) else OF_AREAS
    return closed(float(found.value[0]), float(found.low[0]), float(found.high[0]), confidence, method)


def area_differences(truth: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Differences:
    """Of the AUROC of each row of ``first`` (pairs, n) less that of the same row of ``second``, on ``truth`` (n,) of 0 and 1.

    The bounds are the differences δ from which the one that is seen is not farther than t standard deviations, where the variance is
    that of two AUROCs that differ by δ: both are moved by half the way. It has DeLong, DeLong & Clarke-Pearson's (1988) correlation of
    the two, and as variance of each that of :func:`pathology.contracts.intervals.area_under_roc`, Hanley and McNeil's brought to the
    scores, so that an AUROC near 1 does not look certain. t is Student's with Welch's degrees of freedom (1947) of the two classes.

    Rows that are the same in both have [0, 0]; others never an interval of width zero, and none reaches beyond −1 and 1.

    Raises:
        ValueError: when a class is absent.
    """
    pair = _Pair.of(truth, first, second, confidence)
    value, same = pair.areas[0] - pair.areas[1], (first == second).all(axis=1)
    low, high = (np.where(same, 0.0, pair.bound(value, end)) for end in (-1.0, 1.0))
    return Differences(value, low, high)


@dataclass(frozen=True)
class _Pair:
    """Areas (2, pairs), how far each model's variance is brought to its scores (2, pairs), the correlation and t (pairs,)."""

    positives: int
    negatives: int
    areas: np.ndarray
    spread: np.ndarray
    correlation: np.ndarray
    t: np.ndarray

    @classmethod
    def of(cls, truth: np.ndarray, first: np.ndarray, second: np.ndarray, confidence: float) -> _Pair:
        each = [_of_rows(truth, scores) for scores in (first, second)]
        areas = np.stack([above.mean(axis=1) for above, _ in each])
        ours, theirs = (sum(_covariance(placed, placed) for placed in one) for one in each)
        common = sum(_covariance(placed, other) for placed, other in zip(*each, strict=True))
        known = (ours > 0) & (theirs > 0)  # scores that are apart say nothing of their correlation
        product = np.sqrt(np.where(known, ours * theirs, 1.0))
        of_class = [_covariance(placed - other, placed - other) for placed, other in zip(*each, strict=True)]
        n1, n0 = each[0][0].shape[1], each[0][1].shape[1]
        modelled = hanley_mcneil(areas, n1, n0)
        inside = (areas > 0) & (areas < 1)
        ratio = np.stack([ours, theirs]) / np.where(inside, modelled, 1.0)
        return cls(
            n1,
            n0,
            areas,
            spread=np.where(inside, np.maximum(ratio, LEAST_SPREAD), 1.0),
            correlation=np.where(known, np.clip(common / product, -1.0, 1.0), 0.0),
            t=student_t.ppf((1 + confidence) / 2, _welch(of_class, (n1, n0))),
        )

    def bound(self, value: np.ndarray, end: float) -> np.ndarray:
        """On the side of ``end``, (pairs,)."""
        inside, outside = value.copy(), np.full_like(value, end)
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            within = (value - middle) ** 2 < self.t**2 * self._variance(value - middle)
            inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
        return inside

    def _variance(self, moved: np.ndarray) -> np.ndarray:
        """Of the difference, where it is ``moved`` (pairs,) less than the one that is seen."""
        areas = np.clip(self.areas + np.stack([-moved, moved]) / 2, 0.0, 1.0)
        first, second = self.spread * hanley_mcneil(areas, self.positives, self.negatives)
        least = ONE_MORE / (self.positives * self.negatives) * (1 / self.positives + 1 / self.negatives)
        return np.asarray(first + second - 2 * self.correlation * np.sqrt(first * second) + least)


def _of_rows(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Placements of each row of ``scores`` (rows, n): (rows, positives) and (rows, negatives)."""
    placed = [placements(truth, row) for row in scores]
    return np.stack([above for above, _ in placed]), np.stack([below for _, below in placed])


def _covariance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of the means of ``first`` and ``second`` (rows, n), row by row; none that can be seen of a single unit."""
    n = first.shape[1]
    centred = first - first.mean(axis=1, keepdims=True), second - second.mean(axis=1, keepdims=True)
    return np.asarray((centred[0] * centred[1]).sum(axis=1) / (max(n - 1, 1) * n))


def _welch(variances: list[np.ndarray], sizes: tuple[int, int]) -> np.ndarray:
    """Degrees of freedom of a sum of two independent means' ``variances`` (rows,); at least 1, the smaller class's where there is none."""
    whole = variances[0] + variances[1]
    parts = sum(each**2 / max(size - 1, 1) for each, size in zip(variances, sizes, strict=True))
    known = parts > 0
    return np.maximum(np.where(known, whole**2 / np.where(known, parts, 1.0), min(sizes) - 1), 1.0)


def proportion_difference(both: int, only_first: int, only_second: int, neither: int, confidence: float = 0.95) -> Interval:
    """Of the fraction of units that are right by a first model less that by a second, of so many units that ``both`` have right, one of
    them alone, and ``neither``: sensitivities of two models on the same positives, say.

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired data", method 10.

    Raises:
        ValueError: without units.
    """
    n = both + only_first + only_second + neither
    ours, theirs = proportion(both + only_first, n, confidence), proportion(both + only_second, n, confidence)
    r = _correlation(both, only_first, only_second, neither)
    value = (only_first - only_second) / n
    down = _joined(ours.value - ours.low, theirs.high - theirs.value, r)
    up = _joined(ours.high - ours.value, theirs.value - theirs.low, r)
    return closed(value, max(value - down, -1.0), min(value + up, 1.0), confidence, OF_PROPORTIONS)


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Newcombe's φ with his correction for continuity; 0 where one fraction is 0 or 1."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    excess = float(both * neither - only_first * only_second)
    if excess > 0:
        excess = max(excess - (both + only_first + only_second + neither) / 2, 0.0)
    return excess / float(np.sqrt(margins)) if margins else 0.0


def _joined(one: float, other: float, correlation: float) -> float:
    return float(np.sqrt(max(one**2 + other**2 - 2 * correlation * one * other, 0.0)))


def mean_of_differences(first: Interval, second: Interval) -> Interval:
    """Of the mean of two independent differences: balanced accuracy's, from those of sensitivity and specificity."""
    return weighted_sum((0.5, first), (0.5, second), method=MEAN_OF_DIFFERENCES)
