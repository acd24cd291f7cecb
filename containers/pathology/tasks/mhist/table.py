"""The table of annotated patches: MHIST's annotations.csv, or anybody's table of images and labels."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import column_key, fault, normal, printable
from pathology.contracts.mhist.patches import ANNOTATORS
from pathology.contracts.mhist.prepare import PrepareMhist
from pathology.patches.columns import Column, find_column, require_column
from pathology.patches.files import MAX_FILES, PICTURES

HEADER = ("Image Name", "Majority Vote Label", "Number of Annotators who Selected SSA (Out of 7)", "Partition")
"""MHIST's own."""

IMAGE = Column("the patch's file", ("image", "image_name", "filename", "file"), "image-column")
LABEL = Column("the label", ("label", "majority_vote_label", "class"), "label-column")
PARTITION = Column("the partition", ("partition", "split", "set"), "partition-column")
GROUP = Column("the group", ("group", "patient", "patient_id", "case", "slide", "slide_id"), "group-column")
VOTES = Column("the votes", (HEADER[2],), "votes-column")

Partition = Literal["train", "validation", "test"]
_PARTITIONS: dict[str, Partition] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}  # type: ignore[dict-item]
_SEPARATORS = (",", ";", "\t")
_MAX_VALUES = 10


@dataclass(frozen=True)
class Annotation:
    """A line of the table: label 0 or 1; votes for class 1, the partition and the group where the table has them."""

    image: str
    label: int
    votes: int | None
    partition: Partition | None
    group: str | None = None


@dataclass(frozen=True)
class Annotations:
    """The table by image. ``published``: it is in MHIST's own columns. ``columns`` maps what was read to the header's names."""

    lines: list[Annotation]
    published: bool
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Columns:
    """Where in a line each value stands."""

    width: int
    image: int
    label: int
    votes: int | None
    partition: int | None
    group: int | None

    @classmethod
    def of(cls, header: list[str], settings: PrepareMhist, where: str) -> _Columns:
        return cls(
            len(header),
            require_column(header, IMAGE, settings.image_column, where),
            require_column(header, LABEL, settings.label_column, where),
            find_column(header, VOTES, settings.votes_column, where),
            find_column(header, PARTITION, settings.partition_column, where),
            find_column(header, GROUP, settings.group_column, where),
        )

    def names(self, header: list[str]) -> dict[str, str]:
        numbers = {name: getattr(self, name) for name in ("image", "label", "votes", "partition", "group")}
        return {name: header[number] for name, number in numbers.items() if number is not None}


def read_annotations(path: Path, settings: PrepareMhist) -> Annotations:
    """Read the table.

    Raises:
        DataError: for columns that are missing or ambiguous, a label, vote, partition or name that cannot be, or a patch twice.
    """
    header, rows = _read(path)
    columns, published = (
        _Columns.of(header, settings, path.name),
        tuple(map(column_key, header)) == tuple(map(column_key, HEADER)),
    )
    by_image: dict[str, Annotation] = {}
    for number, values in rows:
        where = f"{path.name}, line {number}"
        if len(values) != columns.width:
            raise DataError(f"{where}: {len(values)} values under {columns.width} columns: correct the line")
        line = _annotation(values, columns, settings, where, published)
        if isinstance(line, str):
            raise DataError(f"{where}: {line} {_labels_found(rows, columns)}")
        if line.image in by_image:
            raise DataError(f"{where}: {line.image} is duplicated: keep the right line")
        by_image[line.image] = line
    if len(by_image) > MAX_FILES:
        raise DataError(f"{path.name} names {len(by_image):,} patches, and at most {MAX_FILES:,} are taken: give fewer")
    return Annotations([by_image[image] for image in sorted(by_image)], published, columns.names(header))


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and every line that is not empty with its number."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        first = text.partition("\n")[0]
        separator = max(_SEPARATORS, key=first.count)
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read as a csv table ({error}): give a table of images and labels") from None
    if not lines or not any(lines[0]):
        raise DataError(f"{path.name} is empty: give a table of images and labels")
    stripped = [[value.strip() for value in values] for values in lines]
    return stripped[0], [(number, values) for number, values in enumerate(stripped[1:], start=2) if values]


def _annotation(values: list[str], columns: _Columns, settings: PrepareMhist, where: str, published: bool) -> Annotation | str:
    """The line; or, of a label that is neither class, what to say of it before the labels that the table has."""
    image, label = values[columns.image], values[columns.label]
    if len(image) > 200 or not (image.isascii() and image.lower().endswith(PICTURES) and _is_column_key(image)):
        raise DataError(
            f"{where}: {image[:100]!r} is not the name of a patch, letters, digits, '.', '_' and '-' ending in "
            f"{', '.join(PICTURES)}: correct the line"
        )
    if label not in settings.negative + settings.positive:
        return f"{image} has the label {label[:40]!r}, which is neither {' nor '.join(settings.negative + settings.positive)}"
    number = int(label in settings.positive)
    votes = None if columns.votes is None else _votes(values[columns.votes], image, number, label, where)
    partition = None if columns.partition is None else _partition(values[columns.partition], image, where, published)
    group = None if columns.group is None else values[columns.group]
    if group == "":
        raise DataError(f"{where}: {image} has no group: give it one, or leave the column out")
    if group is not None and (reason := fault(group)):
        raise DataError(f"{where}: group {printable(group)} {reason}: correct it")
    return Annotation(image, number, votes, partition, normal(group) if group else None)


def _votes(text: str, image: str, label: int, word: str, where: str) -> int:
    if len(text) != 1 or text not in "01234567":
        raise DataError(f"{where}: {image} has {text[:40]!r} votes, which is not a whole number from 0 to 7: correct the line")
    if (int(text) > ANNOTATORS / 2) != (label == 1):
        raise DataError(f"{where}: {image} is {word} and {text} of 7 annotators selected SSA: one of them is wrong")
    return int(text)


def _partition(text: str, image: str, where: str, published: bool) -> Partition:
    found = _PARTITIONS.get(text.casefold())
    if found is None or (published and found != text) or (published and found == "validation"):
        words = "neither train nor test" if published else "none of train, validation, test"
        raise DataError(f"{where}: {image} is in partition {text[:40]!r}, which is {words}: correct the line")
    return found


def _labels_found(rows: list[tuple[int, list[str]]], columns: _Columns) -> str:
    found = Counter(values[columns.label] for _, values in rows if len(values) == columns.width).most_common()
    shown = ", ".join(f"{value[:40]!r} ({count})" for value, count in found[:_MAX_VALUES])
    more = f" and {len(found) - _MAX_VALUES} more" if len(found) > _MAX_VALUES else ""
    return f"(the table has {shown}{more}): correct it, or name the classes with 'positive' and 'negative'"


def _is_column_key(name: str) -> bool:
    return name[0].isalnum() and all(character.isalnum() or character in "._-" for character in name)
