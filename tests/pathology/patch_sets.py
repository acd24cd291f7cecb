"""Patches of two textures, coarse for HP and fine for SSA, in memory and as the mhist pipeline's files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pathology.contracts.mhist.patches import MhistPatchRow
from PIL import Image

SIDE = 224
COARSE, FINE = 28, 7


def patch(label: int, generator: np.random.Generator) -> np.ndarray:
    """One patch (224, 224, 3) uint8: purple and pink squares, small ones for class 1."""
    grain = FINE if label else COARSE
    mixture = generator.random((SIDE // grain, SIDE // grain, 1))
    colours = np.array([120.0, 70.0, 150.0]) * mixture + np.array([230.0, 170.0, 200.0]) * (1 - mixture)
    return colours.round().astype(np.uint8).repeat(grain, 0).repeat(grain, 1)


def patches(count: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """``count`` patches and their labels, which alternate."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return [patch(int(label), generator) for label in labels], labels


def write_patches(folder: Path, counts: dict[str, int], seed: int = 0) -> list[MhistPatchRow]:
    """PNGs in ``folder`` and their rows; ``counts`` patches of each split."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    rows = []
    for split, count in counts.items():
        for number in range(count):
            label = number % 2
            path = folder / f"{split}_{number:04d}.png"
            Image.fromarray(patch(label, generator)).save(path)
            content = path.read_bytes()
            votes = int(generator.integers(4, 8) if label else generator.integers(0, 4))
            sha256 = hashlib.sha256(content).hexdigest()
            row = {"image": path.name, "sha256": sha256, "bytes": len(content), "label": label, "votes": votes, "split": split}
            rows.append(MhistPatchRow.model_validate(row))
    return rows


def write_patch_table(folder: Path, rows: Sequence[MhistPatchRow], **about: Any) -> Path:
    """patches.csv of ``rows`` and a dataset.json beside it, MHIST's unless ``about`` says otherwise; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "patches.csv").write_bytes(MhistPatchRow.table(rows))
    (folder / "dataset.json").write_text(json.dumps({"dataset": "mhist", "labels": ["HP", "SSA"], **about}))
    return folder
