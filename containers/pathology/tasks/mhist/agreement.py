"""Accuracy by how far the annotators agreed: a patch that experts call 4 to 3 has no answer to be sure of."""

from __future__ import annotations

import numpy as np

from pathology.contracts.evaluation import Bounds
from pathology.contracts.intervals import proportion
from pathology.contracts.mhist.evaluate import AgreementRow, ClassAccuracy
from pathology.contracts.mhist.patches import ANNOTATORS


def by_agreement(truth: np.ndarray, votes: np.ndarray, predicted: np.ndarray, confidence: float) -> list[AgreementRow]:
    """One row for each of 4 to 7 annotators on the majority's side.

    ``truth``, ``predicted`` (n,) are 0 and 1, ``votes`` (n,) 0 to 7 for class 1. Intervals are Wilson's at ``confidence``.
    """
    agreement = np.maximum(votes, ANNOTATORS - votes)
    right = truth == predicted

    def fraction_right(chosen: np.ndarray) -> Bounds | None:
        n = int(chosen.sum())
        return Bounds.of(proportion(int(right[chosen].sum()), n, confidence)) if n else None

    def of_class(at_level: np.ndarray, label: int) -> ClassAccuracy:
        chosen = at_level & (truth == label)
        return ClassAccuracy(n=int(chosen.sum()), accuracy=fraction_right(chosen))

    rows = []
    for level in (4, 5, 6, 7):
        at_level = agreement == level
        rows.append(
            AgreementRow(
                agreement=level,
                n=int(at_level.sum()),
                accuracy=fraction_right(at_level),
                classes=(of_class(at_level, 0), of_class(at_level, 1)),
            )
        )
    return rows
