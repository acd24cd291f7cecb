"""A linear probe: scikit-learn's logistic regression on standardised embeddings, kept as one linear map of the raw ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pathology.patches.head import Head
from pathology.training.logistic import cross_entropy, logistic_map

INVERSE_PENALTIES = tuple(10.0**power for power in range(-5, 5))
"""scikit-learn's C: from nearly nothing but the prior to nearly no penalty on 1,536 standardised dimensions."""


@dataclass(frozen=True)
class Probe:
    """The head, the penalty chosen on validation, and the mean cross-entropy on both sides."""

    head: Head
    inverse_penalty: float
    training_loss: float
    validation_loss: float


def fit_probe(embeddings: np.ndarray, targets: np.ndarray, validation: np.ndarray, validation_targets: np.ndarray) -> Probe:
    """Fit one probe a penalty on ``embeddings`` (n, D) and ``targets`` (n,) in 0 to 1; the one with the least validation loss.

    A target between 0 and 1 counts as that much of a positive and the rest of a negative.
    """
    best: Probe | None = None
    for inverse_penalty in INVERSE_PENALTIES:
        head = Head(*logistic_map(embeddings, targets, inverse_penalty))
        losses = (
            cross_entropy(head.probabilities(embeddings), targets),
            cross_entropy(head.probabilities(validation), validation_targets),
        )
        if best is None or losses[1] < best.validation_loss:
            best = Probe(head, inverse_penalty, *losses)
    assert best is not None
    return best
