"""MHIST: 3,152 patches of colorectal polyps, HP against SSA by the majority of seven pathologists (Wei et al. 2021, AIME); and any
other table of patches with two labels.

MHIST's table says whose side a patch is on and not which patient it is from: validation patches, taken out of train, may come from
the same slides as train patches. The test partition is the authors' own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pathology.contracts.mhist.patches import ANNOTATORS, MHIST, MhistPatchRow
from pathology.contracts.mhist.prepare import PrepareMhist
from pathology.patches.files import open_patches
from pathology.patches.prepare import check_all_there, copy_patches, summary
from pathology.tasks.mhist.split import choose_sides
from pathology.tasks.mhist.table import read_annotations

_ALWAYS_SHOWN = frozenset({"published_counts", "validation_fraction", "split_seed"})
"""Settings that stand in every dataset.json; the others where they are not at their defaults."""


Prepared = tuple[list[MhistPatchRow], dict[str, Any]]


def prepare(annotations: Path, images: Path, out_images: Path, settings: PrepareMhist) -> Prepared:
    """Check table and files and copy the files, bytes unchanged, flat to ``out_images``; rows sorted by image, and what dataset.json
    says of a table that is not MHIST's.

    ``images`` is a zip, or a folder of one or of PNGs and JPEGs. Files that the table does not name are left out.

    Raises:
        DataError: naming the line of the table, or the patch, that is wrong.
    """
    table = read_annotations(annotations, settings)
    split = choose_sides(table, settings)
    files, names = open_patches(images), [line.image for line in table.lines]
    check_all_there(names, files)
    rows = [
        MhistPatchRow(
            image=line.image,
            sha256=file.sha256,
            bytes=file.bytes,
            label=line.label,
            split=split.sides[line.image],
            group=line.group or "",
            votes=line.votes,
        )
        for line, file in zip(table.lines, copy_patches(names, files, out_images, settings.patch_side), strict=True)
    ]
    if table.published:
        return rows, {}
    return rows, {"dataset": "patches", "columns": table.columns, "split": split.made, "warnings": list(split.warnings)}


def summarise(rows: Sequence[MhistPatchRow], settings: PrepareMhist, about: Mapping[str, Any]) -> dict[str, Any]:
    """What dataset.json says: votes where there are any, and what else is known ``about`` a table that is not MHIST's."""
    defaults = PrepareMhist().model_dump(mode="json")
    values = settings.model_dump(mode="json", include=set(defaults)).items()
    shown = {name: value for name, value in values if name in _ALWAYS_SHOWN or value != defaults[name]}
    figures = summary(MHIST, rows, settings.labels, shown)
    for split, counts in figures["splits"].items():
        votes = [row.votes for row in rows if row.split == split and row.votes is not None]
        if votes:
            counts["votes"] = [votes.count(number) for number in range(ANNOTATORS + 1)]
    return {**figures, **about}


def about_lines(about: Mapping[str, Any]) -> list[str]:
    """Lines for a log on a table that is not MHIST's."""
    if not about:
        return []
    columns = ", ".join(f"{what} {name!r}" for what, name in about["columns"].items())
    votes = [] if "votes" in about["columns"] else ["no column of annotators' votes: no soft labels, no table by agreement"]
    return [f"columns: {columns}", about["split"], *votes, *(f"warning: {warning}" for warning in about["warnings"])]
