"""Accuracy by how far the annotators agreed: a patch that experts call 4 to 3 has no answer to be sure of."""

from __future__ import annotations

import numpy as np

from pathology.contracts.evaluation import Bounds
from pathology.contracts.evaluation_mhist import AgreementRow, ClassAccuracy
from pathology.contracts.intervals import proportion
from pathology.datasets.mhist import ANNOTATORS


def by_agreement(truth: np.ndarray, votes: np.ndarray, predicted: np.ndarray, confidence: float) -> list[AgreementRow]:
    """One row for each of 4 to 7 annotators on the majority's side.

    ``truth``, ``predicted`` (n,) are 0 and 1, ``votes`` (n,) 0 to 7 for class 1. Intervals are Wilson's at ``confidence``.
    """
    agreement = np.maximum(votes, ANNOTATORS - votes)
    right = truth == predicted

    def share(chosen: np.ndarray) -> Bounds | None:
        n = int(chosen.sum())
        return Bounds.of(proportion(int(right[chosen].sum()), n, confidence)) if n else None

    def of_class(here: np.ndarray, label: int) -> ClassAccuracy:
        chosen = here & (truth == label)
        return ClassAccuracy(n=int(chosen.sum()), accuracy=share(chosen))

    rows = []
    for level in (4, 5, 6, 7):
        here = agreement == level
        rows.append(
            AgreementRow(agreement=level, n=int(here.sum()), accuracy=share(here), classes=(of_class(here, 0), of_class(here, 1)))
        )
    return rows
