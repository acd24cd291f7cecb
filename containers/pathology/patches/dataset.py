"""Patches as prepared or staged, read by index where training and tests run."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Self, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from pathology.contracts.errors import DataError
from pathology.contracts.media import IMAGES
from pathology.contracts.patches import SPLITS, PatchRow
from pathology.images import decode_image, resize_square

R = TypeVar("R", bound=PatchRow)


class PatchDataset(BaseModel):
    """What readers of dataset.json need: whose data they are, what the classes are called, what was found that figures suffer by."""

    dataset: str
    labels: tuple[str, str]
    warnings: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises DataError when the file is another."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}): prepare the patches again") from None


def read_patches(path: Path, kind: type[R], labels: tuple[str, str]) -> list[R]:
    """Read patches.csv, its rows of this ``kind``: every patch once, three splits, both classes in each.

    Raises:
        DataError: naming the patch or the split.
    """
    try:
        rows = kind.read(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a csv table ({error}): prepare the patches again") from None
    duplicates = [image for image, count in Counter(row.image for row in rows).items() if count > 1]
    if duplicates:
        raise DataError(f"{path}: patch {duplicates[0]} is duplicated: prepare the patches again")
    for split in SPLITS:
        for label, word in enumerate(labels):
            if not any((row.split, row.label) == (split, label) for row in rows):
                raise DataError(f"{path}: no {word} patch is in the split {split}: prepare the patches again")
    return rows


def patch_path(root: Path, row: PatchRow) -> Path:
    """Where a patch lies below ``root``: by its hash, as staged, or else by its name, as prepared."""
    staged = root / row.staged
    return staged if staged.is_file() else root / row.image


def content_type(image: str) -> str:
    """A file's, by its name."""
    return IMAGES[PurePosixPath(image).suffix.lower() != ".png"]


def read_content(root: Path, row: PatchRow) -> bytes:
    """A patch's file.

    Raises:
        DataError: naming the patch when its file is gone or is not the one that was prepared.
    """
    path = patch_path(root, row)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"patch {row.image}: {path} cannot be read ({error.strerror}): stage the patches again") from None
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise DataError(f"patch {row.image}: {path} is not the file that was prepared (its sha256 is another): stage it again")
    return content


def read_patch(root: Path, row: PatchRow, side: int) -> np.ndarray:
    """A patch's pixels, (side, side, 3) uint8 RGB.

    Raises:
        DataError: naming the patch when its file is gone, is not the one that was prepared, or does not decode.
    """
    where = f"patch {row.image}"
    return resize_square(decode_image(read_content(root, row), where=where), side, where=where)


class Patches:
    """Patches by index, read when asked for: ``labels`` (N,) int64, items (side, side, 3) uint8 RGB."""

    def __init__(self, root: Path, rows: Sequence[PatchRow], side: int) -> None:
        self.root, self.rows, self.side = root, tuple(rows), side
        self.labels = np.array([row.label for row in rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_patch(self.root, self.rows[index], self.side)
