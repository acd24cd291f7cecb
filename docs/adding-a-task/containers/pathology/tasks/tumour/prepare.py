"""A table of patches, ``image,label,split``, checked with its files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pathology.contracts.errors import DataError
from pathology.contracts.patches import PatchRow
from pathology.contracts.tables import Row
from pathology.contracts.tumour.patches import LABELS, SIDE
from pathology.contracts.tumour.prepare import PrepareTumour
from pathology.patches.files import open_patches
from pathology.patches.prepare import check_all_there, copy_patches, hold_out


class LabelRow(Row):
    """A line of the table: the PNG's name, its class by name, its side as its authors split it."""

    image: str = Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,195}\.png\z")
    label: Literal["normal", "tumour"]
    split: Literal["train", "test"]


def prepare(table: Path, images: Path, out_images: Path, settings: PrepareTumour) -> list[PatchRow]:
    """Check table and files and copy the files, bytes unchanged, flat to ``out_images``; rows in the table's order.

    Raises:
        DataError: naming the line of the table, or the patch, that is wrong.
    """
    lines = LabelRow.read(table)
    names = [line.image for line in lines]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{table.name}: {duplicates[0]} is duplicated: keep the right line")
    for split in ("train", "test"):
        for label in LABELS:
            if sum((line.split, line.label) == (split, label) for line in lines) < (2 if split == "train" else 1):
                raise DataError(f"{table.name}: too few {label} patches in {split} to learn from or to test on: add some")
    files = open_patches(images)
    check_all_there(names, files)
    train = [line for line in lines if line.split == "train"]
    classes = [{number: [line.image for line in train if line.label == label]} for number, label in enumerate(LABELS)]
    held_out = hold_out(classes, settings.validation_fraction, settings.split_seed)
    return [
        PatchRow(
            image=line.image,
            sha256=file.sha256,
            bytes=file.bytes,
            label=LABELS.index(line.label),
            split="validation" if line.image in held_out else line.split,
        )
        for line, file in zip(lines, copy_patches(names, files, out_images, SIDE), strict=True)
    ]
