"""MHIST: 3,152 patches of colorectal polyps, HP against SSA by the majority of seven pathologists (Wei et al. 2021, AIME).

The table says whose side a patch is on and not which patient it is from: validation patches, taken out of train, may come from
the same slides as train patches. The test partition is the authors' own.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.settings_mhist import PrepareMhist
from pathology.contracts.storage import write_whole
from pathology.contracts.tables import PatchRow
from pathology.datasets.patch_files import MAXIMUM_FILES, PatchFiles, open_patches
from pathology.datasets.shares import whole_shares
from pathology.images import decode_image, resize_square

LABELS = ("HP", "SSA")
"""Hyperplastic polyp, class 0; sessile serrated adenoma, class 1, the positive one."""

HEADER = ("Image Name", "Majority Vote Label", "Number of Annotators who Selected SSA (Out of 7)", "Partition")
PUBLISHED = {"train": 2175, "test": 977}
SPLITS = ("train", "validation", "test")
ANNOTATORS = 7
SIDE = 224
"""px at 5×, about 2.0 µm/px."""

PNG = b"\x89PNG\r\n\x1a\n"
READERS = 4
"""Decoding leaves Python's lock; more threads than this wait for the zip."""
PROGRESS = 1000


@dataclass(frozen=True)
class Annotation:
    """A line of annotations.csv: label 0 or 1, votes for class 1."""

    image: str
    label: int
    votes: int
    partition: Literal["train", "test"]


def prepare(annotations: Path, images: Path, out_images: Path, settings: PrepareMhist) -> list[PatchRow]:
    """Check table and files and copy the files, bytes unchanged, flat to ``out_images``; rows sorted by image.

    ``images`` is a zip, or a folder of one or of PNGs. Files that the table does not name are left out.

    Raises:
        DataError: naming the line of the table, or the patch, that is wrong.
    """
    table = read_annotations(annotations)
    _check_partitions(table, settings)
    files = open_patches(images)
    _check_all_there(table, files)
    held_out = choose_validation(table, settings.validation_fraction, settings.seed)
    rows = []
    with ThreadPoolExecutor(READERS) as pool:
        try:
            for row in pool.map(lambda line: _take(line, files, out_images, line.image in held_out), table):
                rows.append(row)
                if len(rows) % PROGRESS == 0:
                    print(f"checked {len(rows):,} of {len(table):,} patches", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)  # the first bad patch ends it
    return rows


def read_annotations(path: Path) -> list[Annotation]:
    """The table by image.

    Raises:
        DataError: for another header, a label, vote, partition or name that cannot be, or a patch that stands there twice.
    """
    try:
        lines = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read as a csv table ({error}): give MHIST's annotations.csv") from None
    if not lines or tuple(lines[0]) != HEADER:
        found = ",".join(lines[0])[:200] if lines else "nothing"
        raise DataError(f"{path.name}: the header should be {','.join(HEADER)!r} and is {found!r}: give MHIST's annotations.csv")
    found_lines: dict[str, Annotation] = {}
    for number, values in enumerate(lines[1:], start=2):
        if not values:
            continue
        line = _annotation(values, f"{path.name}, line {number}")
        if line.image in found_lines:
            raise DataError(f"{path.name}, line {number}: {line.image} stands there twice: keep the right line")
        found_lines[line.image] = line
    if len(found_lines) > MAXIMUM_FILES:
        raise DataError(f"{path.name} names {len(found_lines):,} patches; MHIST has 3,152: give MHIST's annotations.csv")
    return [found_lines[image] for image in sorted(found_lines)]


def _annotation(values: list[str], where: str) -> Annotation:
    if len(values) != len(HEADER):
        raise DataError(f"{where}: {len(values)} values under {len(HEADER)} columns: correct the line")
    image, label, votes, partition = values
    if len(image) > 200 or not (image.isascii() and image.endswith(".png") and _is_plain(image)):
        raise DataError(f"{where}: {image[:100]!r} is no name of a patch like MHIST_aaa.png: correct the line")
    if label not in LABELS:
        raise DataError(f"{where}: {image} has the label {label[:40]!r}, which is neither HP nor SSA: correct the line")
    if len(votes) != 1 or votes not in "01234567":
        raise DataError(f"{where}: {image} has {votes[:40]!r} votes, which is no whole number from 0 to 7: correct the line")
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
            found = sum(line.partition == name and line.label == label for line in table)
            if found < (2 if name == "train" else 1):
                raise DataError(f"the table has {found} {word} patches in {name}, too few to learn from or to test on: add some")


def _check_all_there(table: Sequence[Annotation], files: PatchFiles) -> None:
    there = set(files.names)
    absent = [line.image for line in table if line.image not in there]
    if absent:
        names = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
        raise DataError(f"{len(absent)} of {len(table)} patches are not in {files.where}: {names}: fetch the images again")
    if len(there) > len(table):
        print(f"left out: {len(there) - len(table)} files in {files.where} that the table does not name")


def choose_validation(table: Iterable[Annotation], fraction: float, seed: int) -> set[str]:
    """Images of the train partition to keep aside: ``fraction`` of each class, and of its votes as near as whole patches allow.

    The same table in any order and the same ``seed`` give the same images; each class keeps at least one on either side.
    """
    chosen: set[str] = set()
    train = [line for line in table if line.partition == "train"]
    for label in range(len(LABELS)):
        strata = {votes: sorted(line.image for line in train if (line.label, line.votes) == (label, votes)) for votes in range(8)}
        total = sum(map(len, strata.values()))
        wanted = min(max(round(total * fraction), 1), total - 1)
        quotas = whole_shares({votes: len(images) for votes, images in strata.items()}, wanted)
        for votes, images in strata.items():
            order = np.random.default_rng([seed, votes]).permutation(len(images))
            chosen |= {images[index] for index in order[: quotas[votes]]}
    return chosen


def _take(line: Annotation, files: PatchFiles, folder: Path, held_out: bool) -> PatchRow:
    content = files.read(line.image)
    check_patch(content, line.image)
    # Not flushed to the disk one by one: patches.csv is written after them, and a killed job starts again.
    write_whole(folder / line.image, content, flush=False)
    return PatchRow(
        image=line.image,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        label=line.label,
        votes=line.votes,
        split="validation" if held_out else line.partition,
    )


def check_patch(content: bytes, name: str) -> None:
    """A patch is a PNG of 224×224 px that decodes to its end.

    Raises:
        DataError: naming the patch.
    """
    if not content.startswith(PNG):
        raise DataError(f"{name} is no PNG, whatever its name says: fetch the images again")
    height, width = decode_image(content, where=name).shape[:2]
    if (height, width) != (SIDE, SIDE):
        raise DataError(f"{name} is {width}×{height} px and MHIST's patches are {SIDE}×{SIDE}: fetch the images again")


def read_patches(path: Path) -> list[PatchRow]:
    """Read patches.csv: every patch once, three splits, both classes in each.

    Raises:
        DataError: naming the patch or the split.
    """
    try:
        rows = PatchRow.read(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a csv table ({error}): prepare the patches again") from None
    twice = [image for image, count in Counter(row.image for row in rows).items() if count > 1]
    if twice:
        raise DataError(f"{path}: patch {twice[0]} stands there twice: prepare the patches again")
    for split in SPLITS:
        for label, word in enumerate(LABELS):
            if not any((row.split, row.label) == (split, label) for row in rows):
                raise DataError(f"{path}: no {word} patch is in the split {split}: prepare the patches again")
    return rows


def summary(rows: Sequence[PatchRow], settings: PrepareMhist) -> dict[str, Any]:
    """What dataset.json says: labels, settings, counts by split, class and votes, and patches with the very same bytes."""
    by_content: dict[str, list[str]] = {}
    for row in rows:
        by_content.setdefault(row.sha256, []).append(row.image)
    return {
        "dataset": "mhist",
        "labels": list(LABELS),
        "patches": len(rows),
        "bytes": sum(row.bytes for row in rows),
        "patches_sha256": hashlib.sha256(PatchRow.table(rows)).hexdigest(),
        "settings": settings.model_dump(mode="json"),
        "splits": {split: _counts([row for row in rows if row.split == split]) for split in SPLITS},
        "identical": [images for images in by_content.values() if len(images) > 1],
    }


def _counts(rows: Sequence[PatchRow]) -> dict[str, Any]:
    classes = {word: sum(row.label == label for row in rows) for label, word in enumerate(LABELS)}
    return {
        "patches": len(rows),
        **classes,
        "votes": [sum(row.votes == votes for row in rows) for votes in range(ANNOTATORS + 1)],
    }


def describe(rows: Sequence[PatchRow]) -> str:
    """A few lines to read in a log."""
    lines = []
    for split in SPLITS:
        labels = [row.label for row in rows if row.split == split]
        lines.append(f"{split:<11}{len(labels):>6} patches, {sum(labels)} {LABELS[1]} ({np.mean(labels):.0%})")
    copies = len(rows) - len({row.sha256 for row in rows})
    if copies:
        lines.append(f"warning: {copies} patches have the very bytes of another; dataset.json lists them under 'identical'")
    return "\n".join(lines)


def staged_path(root: Path, row: PatchRow) -> Path:
    """Where staging puts a patch: by its content, so that two data sets share a file system."""
    return root / row.sha256[:2] / f"{row.sha256}.png"


def patch_path(root: Path, row: PatchRow) -> Path:
    """Where a patch lies below ``root``: by its hash, as staged, or else by its name, as prepared."""
    staged = staged_path(root, row)
    return staged if staged.is_file() else root / row.image


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
    """Patches by index, read when asked for: ``labels`` (N,) int64, ``votes`` (N,) int64, items (side, side, 3) uint8 RGB."""

    def __init__(self, root: Path, rows: Sequence[PatchRow], side: int) -> None:
        self.root, self.rows, self.side = root, tuple(rows), side
        self.labels = np.array([row.label for row in rows], dtype=np.int64)
        self.votes = np.array([row.votes for row in rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> np.ndarray:
        return read_patch(self.root, self.rows[index], self.side)
