"""Patches of a table, checked and copied before any GPU is rented; a part of the training patches set apart for validation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pathology.cohort.allocation import apportion
from pathology.contracts.errors import DataError
from pathology.contracts.patches import DATASET, SPLITS, TABLE, PatchRow
from pathology.contracts.prepared import Handed
from pathology.contracts.staging import TABLE as STAGING
from pathology.contracts.staging import StagingRow
from pathology.contracts.storage import Store, atomic_write
from pathology.contracts.uris import Uri
from pathology.images import decode_image
from pathology.patches.files import PatchFiles
from pathology.prepared import publish, publish_files

PNG, JPEG = (b"\x89PNG\r\n\x1a\n", "PNG"), (b"\xff\xd8\xff", "JPEG")
FORMATS = {".png": PNG, ".jpg": JPEG, ".jpeg": JPEG}
"""How a file begins, by what its name ends in."""
READERS = 4
"""Decoding leaves Python's lock; more threads than this wait for the zip."""
PROGRESS = 1000
LEFT_OUT = "left out:"
"""How a line begins that counts what the table does not name."""


@dataclass(frozen=True)
class CheckedFile:
    """A patch's file as it was copied: its name, its sha256 and its size in bytes."""

    image: str
    sha256: str
    bytes: int


def check_all_there(images: Sequence[str], files: PatchFiles) -> None:
    """Hold the table's ``images`` against the files; what the table does not name is left out and counted.

    Raises:
        DataError: naming the images that are not there.
    """
    there = set(files.names)
    absent = [image for image in images if image not in there]
    if absent:
        names = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
        raise DataError(f"{len(absent)} of {len(images)} patches are not in {files.where}: {names}: fetch the images again")
    if len(there) > len(images):
        print(f"{LEFT_OUT} {len(there) - len(images)} files in {files.where} that the table does not name")


def copy_patches(images: Sequence[str], files: PatchFiles, folder: Path, side: int) -> Iterator[CheckedFile]:
    """Check each image and copy its file, bytes unchanged, flat to ``folder``; in the order of ``images``.

    Raises:
        DataError: naming the patch that is not a PNG or JPEG of ``side`` px.
    """
    with ThreadPoolExecutor(READERS) as pool:
        try:
            for number, checked in enumerate(pool.map(lambda image: _copy(image, files, folder, side), images), start=1):
                yield checked
                if number % PROGRESS == 0:
                    print(f"checked {number:,} of {len(images):,} patches", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)  # the first bad patch ends it


def _copy(image: str, files: PatchFiles, folder: Path, side: int) -> CheckedFile:
    content = files.read(image)
    check_patch(content, image, side)
    # Not flushed to the disk one by one: patches.csv is written after them, and a killed job starts again.
    atomic_write(folder / image, content, flush=False)
    return CheckedFile(image, hashlib.sha256(content).hexdigest(), len(content))


def check_patch(content: bytes, name: str, side: int) -> None:
    """A patch is a PNG or JPEG, whichever its name says, of ``side`` × ``side`` px that decodes to its end.

    Raises:
        DataError: naming the patch.
    """
    begins, word = FORMATS[PurePosixPath(name).suffix.lower()]
    if not content.startswith(begins):
        raise DataError(f"{name} is not a {word}, though its name says so: fetch the images again")
    height, width = decode_image(content, where=name).shape[:2]
    if (height, width) != (side, side):
        raise DataError(f"{name} is {width}×{height} px and the data set's patches are {side}×{side}: fetch the images again")


def hold_out(classes: Sequence[Mapping[int, Sequence[str]]], fraction: float, seed: int) -> set[str]:
    """Images to set apart: ``fraction`` of each class, and of each of its strata as near as whole patches allow.

    A class maps strata, numbered, to their images. The same images in any order and the same ``seed`` give the same choice; each
    class keeps at least one on either side.
    """
    chosen: set[str] = set()
    for strata in classes:
        total = sum(map(len, strata.values()))
        wanted = min(max(round(total * fraction), 1), total - 1)
        quotas = apportion({stratum: len(images) for stratum, images in strata.items()}, wanted)
        for stratum, images in strata.items():
            order = np.random.default_rng([seed, stratum]).permutation(len(images))
            chosen |= {sorted(images)[index] for index in order[: quotas[stratum]]}
    return chosen


def summary(dataset: str, rows: Sequence[PatchRow], labels: tuple[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What dataset.json says: labels, settings, counts by split and class, and patches with the very same bytes."""
    by_content: dict[str, list[str]] = {}
    for row in rows:
        by_content.setdefault(row.sha256, []).append(row.image)
    return {
        "dataset": dataset,
        "labels": list(labels),
        "patches": len(rows),
        "bytes": sum(row.bytes for row in rows),
        "patches_sha256": hashlib.sha256(type(rows[0]).table(rows)).hexdigest(),
        "settings": dict(settings),
        "splits": {split: counts([row for row in rows if row.split == split], labels) for split in SPLITS},
        "identical": [images for images in by_content.values() if len(images) > 1],
    }


def counts(rows: Sequence[PatchRow], labels: tuple[str, str]) -> dict[str, Any]:
    """Patches in all and of each class."""
    return {"patches": len(rows), **{word: sum(row.label == label for row in rows) for label, word in enumerate(labels)}}


def describe(rows: Sequence[PatchRow], labels: tuple[str, str]) -> str:
    """A few lines to read in a log."""
    lines = []
    for split in SPLITS:
        members = [row.label for row in rows if row.split == split]
        lines.append(f"{split:<11}{len(members):>6} patches, {sum(members)} {labels[1]} ({np.mean(members):.0%})")
    copies = len(rows) - len({row.sha256 for row in rows})
    if copies:
        lines.append(f"warning: {copies} patches have the very bytes of another; dataset.json lists them under 'identical'")
    learnt_from = {row.sha256 for row in rows if row.split != "test"}
    if leaked := sum(row.sha256 in learnt_from for row in rows if row.split == "test"):
        lines.append(f"warning: {leaked} test patches are learnt from as well: take them out, or the evaluation refuses them")
    return "\n".join(lines)


def hand_on_patches(
    store: Store, root: Uri, images: Path, rows: Sequence[PatchRow], dataset: Mapping[str, Any]
) -> dict[str, Handed]:
    """Write the patches' files, checked in the folder ``images``, and dataset.json, patches.csv and staging.csv below ``root``.

    ``patches`` does not depend on where the files lie; ``staging`` says it.
    """
    handed = publish_files(store, root, images, {row.image: row.sha256 for row in rows})
    staged = [StagingRow(uri=f"{handed.uri}{row.image}", sha256=row.sha256, target=row.staged) for row in rows]
    summary = (json.dumps(dataset, indent=2, allow_nan=False) + "\n").encode()
    return {
        "images": handed,
        "patches": publish(store, root, {DATASET: summary, TABLE: type(rows[0]).table(rows)}),
        "staging": publish(store, root, {STAGING: StagingRow.table(staged)}),
    }
