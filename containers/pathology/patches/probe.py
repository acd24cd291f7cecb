"""A linear probe: scikit-learn's logistic regression on standardised embeddings, kept as one linear map of the raw ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pathology.patches.head import Head

INVERSE_PENALTIES = tuple(10.0**power for power in range(-5, 5))
"""scikit-learn's C: from nearly nothing but the prior to nearly no penalty on 1,536 standardised dimensions."""


@dataclass(frozen=True)
class Probe:
    """The head, the penalty chosen on validation, and the mean cross-entropy on both sides."""

    head: Head
    inverse_penalty: float
    training_loss: float
    validation_loss: float


def cross_entropy(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean over patches; ``targets`` (n,) are fractions from 0 to 1."""
    held = np.clip(probabilities, 1e-12, 1 - 1e-12)
    return float(-np.mean(targets * np.log(held) + (1 - targets) * np.log(1 - held)))


def fit_probe(embeddings: np.ndarray, targets: np.ndarray, validation: np.ndarray, validation_targets: np.ndarray) -> Probe:
    """Fit one probe a penalty on ``embeddings`` (n, D) and ``targets`` (n,) in 0 to 1; the one with the least validation loss.

    A target between 0 and 1 counts as that much of a positive and the rest of a negative.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(embeddings.astype(np.float64))
    scaled = scaler.transform(embeddings.astype(np.float64))
    rows = np.concatenate([np.flatnonzero(targets < 1), np.flatnonzero(targets > 0)])
    labels = np.concatenate([np.zeros(int((targets < 1).sum()), int), np.ones(int((targets > 0).sum()), int)])
    weights = np.where(labels == 1, targets[rows], 1 - targets[rows])
    best: Probe | None = None
    for inverse_penalty in INVERSE_PENALTIES:
        model = LogisticRegression(C=inverse_penalty, max_iter=5000, tol=1e-6).fit(scaled[rows], labels, weights)
        weight = model.coef_[0] / scaler.scale_
        head = Head(weight, float(model.intercept_[0] - scaler.mean_ @ weight))
        losses = (
            cross_entropy(head.probabilities(embeddings), targets),
            cross_entropy(head.probabilities(validation), validation_targets),
        )
        if best is None or losses[1] < best.validation_loss:
            best = Probe(head, inverse_penalty, *losses)
    assert best is not None
    return best
