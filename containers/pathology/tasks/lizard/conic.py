"""The four files of the CoNIC challenge (Graham et al. 2024), checked before anything trusts them; arrays are mapped, never loaded.

``images.npy`` (N, S, S, 3) uint8 RGB and ``labels.npy`` (N, S, S, 2) uint16, instance id and class, at 0.5 µm/px; ``counts.csv``
with a column for each class, and ``patch_info.csv`` with ``<source image>-<number>``, a line for each patch in the arrays' order.
Lizard has 4,981 patches of 256 px; other data may have another N and S.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathology.contracts.errors import DataError
from pathology.nuclei.counts import CENTRAL, central_counts
from pathology.tasks.lizard.arrays import COUNTS, IMAGES, LABELS, NAMES, open_array

COLUMN = "patch_info"
MAX_TABLE = 2**24
"""Bytes of a table: Lizard's have 100 KB."""
PROGRESS = 500

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]{0,150}-[0-9]{1,12}")
"""One ``-`` only: what stands before it is the source image."""
COUNT = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True)
class Conic:
    """A checked data set: ``images`` (N, S, S, 3) uint8 and ``labels`` (N, S, S, 2) uint16, both mapped; ``names`` of the patches.

    ``nuclei`` (N, K) int64 are all instances of each class, also outside of the centre that counts.csv counts in; ``identical``
    names patches whose images have the very same bytes.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    classes: tuple[str, ...]
    nuclei: np.ndarray
    identical: tuple[tuple[str, ...], ...]

    @property
    def side(self) -> int:
        """px: height and width of every patch."""
        return int(self.images.shape[1])


def read_conic(folder: Path, classes: Sequence[str]) -> Conic:
    """Open the four files and check them patch by patch; a line of progress every 500.

    Raises:
        DataError: naming the file and, where there is one, the patch, the nucleus and the class that are wrong.
    """
    images, labels = (open_array(folder / name) for name in (IMAGES, LABELS))
    if images.shape[:3] != labels.shape[:3]:
        raise DataError(
            f"{IMAGES} holds {images.shape[0]:,} patches of {images.shape[1]} px and {LABELS} {labels.shape[0]:,} of "
            f"{labels.shape[1]} px: give the two files of one data set"
        )
    names = read_names(folder / NAMES, len(images))
    counts = read_counts(folder / COUNTS, classes, len(images))
    nuclei = np.zeros_like(counts)
    by_content: dict[bytes, list[str]] = {}
    for index, name in enumerate(names):
        nuclei[index] = check_labels(labels[index], classes, name)
        _check_counts(counts[index], central_counts(labels[index], len(classes)), classes, name)
        by_content.setdefault(hashlib.sha256(images[index].tobytes()).digest(), []).append(name)
        if (index + 1) % PROGRESS == 0:
            print(f"checked {index + 1:,} of {len(names):,} patches", flush=True)
    identical = tuple(tuple(names) for names in by_content.values() if len(names) > 1)
    return Conic(images, labels, names, tuple(classes), nuclei, identical)


def _table(path: Path) -> list[list[str]]:
    """The lines of a csv table that are not empty, the header first."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TABLE + 1)
        if len(content) > MAX_TABLE:
            raise DataError(f"{path.name} has more than {MAX_TABLE:,} bytes, too many for a table of patches: refused")
        lines = [line for line in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if line]
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no such table: give the folder with {IMAGES}, {LABELS}, {COUNTS} and {NAMES}"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read as a csv table ({error}): fetch the file again") from None
    if not lines:
        raise DataError(f"{path.name} is empty: fetch the file again")
    return lines


def _check_length(path: Path, lines: int, patches: int) -> None:
    if lines != patches:
        raise DataError(
            f"{path.name} has {lines:,} lines below its header and {IMAGES} {patches:,} patches: give those of one data set"
        )


def read_names(path: Path, patches: int) -> tuple[str, ...]:
    """patch_info.csv: one name for each patch, in order.

    Raises:
        DataError: for another header or length, a duplicated name, or one that is not ``<source image>-<number>``.
    """
    header, *lines = _table(path)
    if header != [COLUMN]:
        raise DataError(f"{path.name}: the header should be {COLUMN!r} and is {','.join(header)!r:.100}: give CoNIC's {NAMES}")
    _check_length(path, len(lines), patches)
    numbers: dict[str, int] = {}
    for number, values in enumerate(lines, start=1):
        name = values[0]
        if len(values) != 1 or NAME.fullmatch(name) is None:
            raise DataError(
                f"{path.name}, patch {number}: {','.join(values)!r:.100} is not a name like consep_1-0000: correct the line"
            )
        if numbers.setdefault(name, number) != number:
            raise DataError(f"{path.name}: {name} names patch {numbers[name]} and patch {number}: correct one of them")
    return tuple(numbers)


def read_counts(path: Path, classes: Sequence[str], patches: int) -> np.ndarray:
    """counts.csv: nuclei of each class in the centre of each patch, (N, K) int64.

    Raises:
        DataError: for a header other than the classes, another length, or what is not a count.
    """
    header, *lines = _table(path)
    if tuple(header) != tuple(classes):
        raise DataError(
            f"{path.name}: the header is {','.join(header)!r:.200} and 'classes' are {','.join(classes)!r:.200}: "
            f"set 'classes' to the header, in its order"
        )
    _check_length(path, len(lines), patches)
    for number, values in enumerate(lines, start=1):
        wrong = [value for value in values if COUNT.fullmatch(value) is None]
        if wrong or len(values) != len(classes):
            problem = f"{wrong[0]!r:.40} is not a count" if wrong else f"{len(values)} values under {len(classes)} columns"
            raise DataError(f"{path.name}, patch {number}: {problem}: correct the line")
    return np.array(lines, dtype=np.int64)


def check_labels(labels: np.ndarray, classes: Sequence[str], name: str) -> np.ndarray:
    """Check a patch (S, S, 2): ids 1 to n without a gap, every nucleus of one class, none without, no class without a nucleus.

    Returns the number of nuclei of each class, (K,) int64.

    Raises:
        DataError: naming the patch, and the nucleus or the class.
    """
    where, kinds = f"patch {name} in {LABELS}", len(classes) + 1
    instances, of_class = (labels[..., channel].astype(np.int64).ravel() for channel in range(2))
    if of_class.max() >= kinds:
        raise DataError(f"{where}: there is class {of_class.max()} and 'classes' names {kinds - 1}: correct it, or name them all")
    ids = int(instances.max()) + 1
    pixels = np.bincount(instances * kinds + of_class, minlength=ids * kinds).reshape(ids, kinds)
    if pixels[0, 1:].any():
        raise DataError(f"{where}: {pixels[0, 1:].sum():,} px have a class and no nucleus: clear them")
    nuclei = pixels[1:]
    missing = np.flatnonzero(nuclei.sum(axis=1) == 0)
    if len(missing):
        raise DataError(f"{where}: ids go to {ids - 1} and {missing[0] + 1} is not a nucleus: number them 1, 2, … without gaps")
    bare = np.flatnonzero(nuclei[:, 0])
    if len(bare):
        raise DataError(f"{where}: nucleus {bare[0] + 1} has {nuclei[bare[0], 0]:,} px without a class: give them its class")
    several = np.flatnonzero((nuclei > 0).sum(axis=1) > 1)
    if len(several):
        listed = " and ".join(str(kind) for kind in np.flatnonzero(nuclei[several[0]]))
        raise DataError(f"{where}: nucleus {several[0] + 1} has the classes {listed}: give it one")
    return np.asarray((nuclei[:, 1:] > 0).sum(axis=0))


def _check_counts(table: np.ndarray, counted: np.ndarray, classes: Sequence[str], name: str) -> None:
    other = np.flatnonzero(table != counted)
    if len(other):
        kind = other[0]
        raise DataError(
            f"patch {name}: {COUNTS} says {table[kind]} {classes[kind]} and {LABELS} has {counted[kind]} in the "
            f"central {CENTRAL} px: one of the files is another data set's, or out of order"
        )
