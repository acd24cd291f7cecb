"""Logistic regression on standardised features, as one linear map of the raw ones: linear probes, and the baseline of a report."""

from __future__ import annotations

import numpy as np


def logistic_map(features: np.ndarray, targets: np.ndarray, inverse_penalty: float) -> tuple[np.ndarray, float]:
    """scikit-learn's, with its C: weight (D,) and bias of the logit of class 1, from ``features`` (n, D) and ``targets`` (n,) in 0 to 1.

    Each feature has mean 0 and standard deviation 1 over the n when it is penalised. A target between 0 and 1 counts as that much
    of a positive and the rest of a negative.

    Raises:
        ValueError: when all targets are 0 or all are 1.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features.astype(np.float64))
    scaled = scaler.transform(features.astype(np.float64))
    rows = np.concatenate([np.flatnonzero(targets < 1), np.flatnonzero(targets > 0)])
    labels = np.concatenate([np.zeros(int((targets < 1).sum()), int), np.ones(int((targets > 0).sum()), int)])
    weights = np.where(labels == 1, targets[rows], 1 - targets[rows])
    model = LogisticRegression(C=inverse_penalty, max_iter=5000, tol=1e-6).fit(scaled[rows], labels, weights)
    weight = model.coef_[0] / scaler.scale_
    return weight, float(model.intercept_[0] - scaler.mean_ @ weight)


def cross_entropy(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean over items; ``targets`` (n,) are fractions from 0 to 1."""
    held = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return float(-np.mean(targets * np.log(held) + (1 - targets) * np.log(1 - held)))
