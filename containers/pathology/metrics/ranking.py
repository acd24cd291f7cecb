"""Areas under curves and the curves themselves, fast enough for thousands of bootstrap draws; tests hold them to scikit-learn's."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def auroc(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve of ``truth`` (n,) of 0 and 1 and ``score`` (n,), ties counted half (Mann & Whitney 1947).

    Raises:
        ValueError: when a class is absent.
    """
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        raise ValueError("AUROC needs both classes")
    ranks = rankdata(score)[truth == 1].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def counts_at_thresholds(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores from high to low, and how many positives and negatives score at least that, each (k,)."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    true_positives = np.cumsum(truth[order])[last]
    return ordered[last], true_positives, last + 1 - true_positives


def roc_curve(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates, each (k + 1,), from (0, 0) to (1, 1)."""
    _, true_positives, false_positives = counts_at_thresholds(truth, score)
    return (
        np.append(0.0, false_positives / false_positives[-1]),
        np.append(0.0, true_positives / true_positives[-1]),
    )


def precision_recall_curve(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precisions and recalls, each (k + 1,), recall falling to the conventional end (1, 0)."""
    _, true_positives, false_positives = counts_at_thresholds(truth, score)
    precision = true_positives / (true_positives + false_positives)
    return np.append(precision[::-1], 1.0), np.append(true_positives[::-1] / true_positives[-1], 0.0)


def average_precisions(truth: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """:func:`average_precision` of each row of ``weights`` (rows, n), how often every unit counts; (rows,). Each has positives."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    ordered = weights[:, order]
    called, found = np.cumsum(ordered, axis=1)[:, last], np.cumsum(ordered * truth[order], axis=1)[:, last]
    steps = np.diff(found, axis=1, prepend=0)
    return np.asarray((steps * found / np.maximum(called, 1)).sum(axis=1) / found[:, -1])


def average_precision(truth: np.ndarray, score: np.ndarray) -> float:
    """Σ (Rₙ − Rₙ₋₁) Pₙ: the step-wise area under the precision-recall curve, without interpolation."""
    return float(average_precisions(truth, score, np.ones((1, len(truth)), dtype=np.int64))[0])


def youden_threshold(truth: np.ndarray, score: np.ndarray) -> float:
    """The threshold that maximises sensitivity + specificity − 1 (Youden 1950), ``score >= threshold`` being positive.

    Midway between the two scores it separates, so that it does not hang on one patient's last digit. Where no threshold
    beats chance it is the prevalence: the decision of a model that knows nothing else.
    """
    thresholds, true_positives, false_positives = counts_at_thresholds(truth, score)
    gain = true_positives / true_positives[-1] - false_positives / false_positives[-1]
    best = int(np.argmax(gain))
    if gain[best] <= 0:
        return float(truth.mean())
    return float((thresholds[best] + thresholds[best + 1]) / 2)
