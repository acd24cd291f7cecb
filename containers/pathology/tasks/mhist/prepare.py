"""MHIST: 3,152 patches of colorectal polyps, HP against SSA by the majority of seven pathologists (Wei et al. 2021, AIME).

The table says whose side a patch is on and not which patient it is from: validation patches, taken out of train, may come from
the same slides as train patches. The test partition is the authors' own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pathology.contracts.errors import DataError
from pathology.contracts.mhist.patches import ANNOTATORS, LABELS, PUBLISHED, SIDE, MhistPatchRow
from pathology.contracts.mhist.prepare import PrepareMhist
from pathology.patches.files import MAX_FILES, open_patches
from pathology.patches.prepare import check_all_there, copy_patches, hold_out, summary

HEADER = ("Image Name", "Majority Vote Label", "Number of Annotators who Selected SSA (Out of 7)", "Partition")


@dataclass(frozen=True)
class Annotation:
    """A line of annotations.csv: label 0 or 1, votes for class 1."""

    image: str
    label: int
    votes: int
    partition: Literal["train", "test"]


def prepare(annotations: Path, images: Path, out_images: Path, settings: PrepareMhist) -> list[MhistPatchRow]:
    """Check table and files and copy the files, bytes unchanged, flat to ``out_images``; rows sorted by image.

    ``images`` is a zip, or a folder of one or of PNGs. Files that the table does not name are left out.

    Raises:
        DataError: naming the line of the table, or the patch, that is wrong.
    """
    table = read_annotations(annotations)
    _check_partitions(table, settings)
    files, names = open_patches(images), [line.image for line in table]
    check_all_there(names, files)
    held_out = choose_validation(table, settings.validation_fraction, settings.seed)
    return [
        MhistPatchRow(
            image=line.image,
            sha256=file.sha256,
            bytes=file.bytes,
            label=line.label,
            split="validation" if line.image in held_out else line.partition,
            votes=line.votes,
        )
        for line, file in zip(table, copy_patches(names, files, out_images, SIDE), strict=True)
    ]


def read_annotations(path: Path) -> list[Annotation]:
    """The table by image.

    Raises:
        DataError: for another header, a label, vote, partition or name that cannot be, or a patch that is duplicated.
    """
    try:
        lines = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read as a csv table ({error}): give MHIST's annotations.csv") from None
    if not lines or tuple(lines[0]) != HEADER:
        header = ",".join(lines[0])[:200] if lines else "nothing"
        raise DataError(f"{path.name}: the header should be {','.join(HEADER)!r} and is {header!r}: give MHIST's annotations.csv")
    by_image: dict[str, Annotation] = {}
    for number, values in enumerate(lines[1:], start=2):
        if not values:
            continue
        line = _annotation(values, f"{path.name}, line {number}")
        if line.image in by_image:
            raise DataError(f"{path.name}, line {number}: {line.image} is duplicated: keep the right line")
        by_image[line.image] = line
    if len(by_image) > MAX_FILES:
        raise DataError(f"{path.name} names {len(by_image):,} patches; MHIST has 3,152: give MHIST's annotations.csv")
    return [by_image[image] for image in sorted(by_image)]


def _annotation(values: list[str], where: str) -> Annotation:
    if len(values) != len(HEADER):
        raise DataError(f"{where}: {len(values)} values under {len(HEADER)} columns: correct the line")
    image, label, votes, partition = values
    if len(image) > 200 or not (image.isascii() and image.endswith(".png") and _is_plain(image)):
        raise DataError(f"{where}: {image[:100]!r} is not the name of a patch like MHIST_aaa.png: correct the line")
    if label not in LABELS:
        raise DataError(f"{where}: {image} has the label {label[:40]!r}, which is neither HP nor SSA: correct the line")
    if len(votes) != 1 or votes not in "01234567":
        raise DataError(f"{where}: {image} has {votes[:40]!r} votes, which is not a whole number from 0 to 7: correct the line")
    if (int(votes) > ANNOTATORS / 2) != (label == LABELS[1]):
        raise DataError(f"{where}: {image} is {label} and {votes} of 7 annotators selected SSA: one of them is wrong")
    match partition:
        case "train" | "test":
            return Annotation(image, LABELS.index(label), int(votes), partition)
    raise DataError(f"{where}: {image} is in partition {partition[:40]!r}, which is neither train nor test: correct the line")


def _is_plain(name: str) -> bool:
    return name[0].isalnum() and all(character.isalnum() or character in "._-" for character in name)


def _check_partitions(table: Sequence[Annotation], settings: PrepareMhist) -> None:
    counts = {name: sum(line.partition == name for line in table) for name in PUBLISHED}
    if settings.published_counts and counts != PUBLISHED:
        raise DataError(
            f"the table has {counts['train']:,} train and {counts['test']:,} test patches and MHIST has 2,175 and 977: "
            f"give the whole table, or set 'published-counts' to false for a subset"
        )
    for name in PUBLISHED:
        for label, word in enumerate(LABELS):
            count = sum(line.partition == name and line.label == label for line in table)
            if count < (2 if name == "train" else 1):
                raise DataError(f"the table has {count} {word} patches in {name}, too few to learn from or to test on: add some")


def choose_validation(table: Iterable[Annotation], fraction: float, seed: int) -> set[str]:
    """Images of the train partition to keep aside: ``fraction`` of each class, and of its votes as near as whole patches allow.

    The same table in any order and the same ``seed`` give the same images; each class keeps at least one on either side.
    """
    train = [line for line in table if line.partition == "train"]
    classes = [
        {votes: [line.image for line in train if (line.label, line.votes) == (label, votes)] for votes in range(ANNOTATORS + 1)}
        for label in range(len(LABELS))
    ]
    return hold_out(classes, fraction, seed)


def summarise(rows: Sequence[MhistPatchRow], settings: PrepareMhist) -> dict[str, Any]:
    """What dataset.json says, votes among it."""
    figures = summary("mhist", rows, LABELS, settings.model_dump(mode="json"))
    for split, counts in figures["splits"].items():
        votes = [row.votes for row in rows if row.split == split]
        counts["votes"] = [votes.count(number) for number in range(ANNOTATORS + 1)]
    return figures
