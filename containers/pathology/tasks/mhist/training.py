"""What mhist's classifier learns: hard labels, or the fraction of annotators who chose class 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pathology.contracts.errors import RequestError
from pathology.contracts.mhist.patches import ANNOTATORS, MhistPatchRow
from pathology.contracts.mhist.train import TrainMhist
from pathology.patches.dataset import Patches
from pathology.patches.learning import Side, permuted


def training_side(rows: Sequence[MhistPatchRow], root: Path, pixels: int, settings: TrainMhist, number: int) -> Side:
    """One side of the split, of patches below ``root`` of ``pixels`` px; ``number`` tells the sides' permutations apart.

    Raises:
        RequestError: for soft labels where the table has no votes.
    """
    if settings.soft_labels and any(row.votes is None for row in rows):
        raise RequestError("soft-labels: the table has no annotators' votes to learn from: set it to false")
    order = permuted(len(rows), (settings.seed, number)) if settings.shuffle_labels else np.arange(len(rows))
    labels = np.array([row.label for row in rows])[order]
    votes = np.array([row.votes or 0 for row in rows])[order]
    return Side(Patches(root, rows, pixels), labels, votes / ANNOTATORS if settings.soft_labels else labels.astype(float))
