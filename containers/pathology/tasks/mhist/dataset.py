"""MHIST's patches as prepared."""

from __future__ import annotations

from pathlib import Path

from pathology.contracts.mhist.patches import LABELS, MhistPatchRow
from pathology.patches import dataset


def read_patches(path: Path, labels: tuple[str, str] = LABELS) -> list[MhistPatchRow]:
    """Read patches.csv; see :func:`pathology.patches.dataset.read_patches`."""
    return dataset.read_patches(path, MhistPatchRow, labels)
