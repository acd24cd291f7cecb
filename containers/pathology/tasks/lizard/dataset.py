"""Lizard in CoNIC's form: checked and split once, then read by index where training and tests run.

patches.csv says which side each patch is on, dataset.json which arrays it is about; the arrays, 2.3 GB, are not copied but proven.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pathology.contracts.errors import DataError
from pathology.contracts.hashes import sha256_of
from pathology.contracts.lizard.patches import DATASET, SPLITS, TABLE, NucleiDataset, NucleiPatchRow, cohort_of, source_of
from pathology.tasks.lizard.arrays import IMAGES, LABELS, open_array, staged_name


def read_patches(path: Path) -> list[NucleiPatchRow]:
    """Read patches.csv: every patch once, three splits, a source image on one side only.

    Raises:
        DataError: naming the patch, the source image or the split.
    """
    try:
        rows = NucleiPatchRow.read(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a csv table ({error}): prepare the patches again") from None
    for value in ("name", "index"):
        duplicates = [each for each, count in Counter(getattr(row, value) for row in rows).items() if count > 1]
        if duplicates:
            raise DataError(f"{path}: {value} {duplicates[0]} is duplicated: prepare the patches again")
    sides: dict[str, str] = {}
    for row in rows:
        if (row.source, row.cohort) != (source_of(row.name), cohort_of(source_of(row.name))):
            raise DataError(f"{path}: patch {row.name} is said to be of {row.source}, {row.cohort}: prepare the patches again")
        if sides.setdefault(row.source, row.split) != row.split:
            raise DataError(
                f"{path}: source image {row.source} is in {sides[row.source]} and {row.split}: prepare the patches again"
            )
    absent = [name for name in SPLITS if name not in sides.values()]
    if absent:
        raise DataError(f"{path}: no patch is in the split {absent[0]}: prepare the patches again")
    return rows


def read_prepared(folder: Path) -> tuple[list[NucleiPatchRow], NucleiDataset]:
    """patches.csv and dataset.json of one preparation.

    Raises:
        DataError: when either is absent or wrong, or they are not of one preparation.
    """
    rows = read_patches(folder / TABLE)
    path = folder / DATASET
    if not path.is_file():
        raise DataError(f"{path}: there is no such file beside {TABLE}: prepare the patches again")
    dataset = NucleiDataset.from_json(path.read_bytes(), str(path))
    if sha256_of(folder / TABLE) != dataset.patches_sha256:
        raise DataError(f"{folder}: {TABLE} is not the one that {DATASET} was written with: prepare the patches again")
    return rows, dataset


def array_path(root: Path, name: str, sha256: str) -> Path:
    """Where an array lies below ``root``: by its hash, as staged, or else by its name, as people give it."""
    staged = root / staged_name(sha256)
    return staged if staged.is_file() else root / name


class Nuclei:
    """Patches of ``rows`` by index, read when asked for: image (S, S, 3) uint8 RGB and labels (S, S, 2) uint16, copies of one's own.

    Either layout of the arrays is found below ``root``, and proven by hash once, when this is made; a copy in another process maps
    them again and does not hash. ``verify=False`` leaves the hash out, for processes beside one that has done it.

    Raises:
        DataError: when an array is gone, is not the one that was prepared, or does not hold the rows.
    """

    def __init__(self, root: Path, rows: Sequence[NucleiPatchRow], dataset: NucleiDataset, verify: bool = True) -> None:
        self.rows = tuple(rows)
        hashes = {IMAGES: dataset.images_sha256, LABELS: dataset.labels_sha256}
        self._paths: Mapping[str, Path] = {name: array_path(root, name, sha256) for name, sha256 in hashes.items()}
        for name, path in self._paths.items():
            if not path.is_file():
                raise DataError(f"{path}: there is no such file: stage the data set again")
            if verify and sha256_of(path) != hashes[name]:
                raise DataError(f"{path} is not the {name} that was prepared (its sha256 is another): stage the data set again")
        self._map()
        expected = (dataset.patches, dataset.side, dataset.side)
        for name, array in ((IMAGES, self._images), (LABELS, self._labels)):
            if array.shape[:3] != expected:
                raise DataError(
                    f"{self._paths[name]} has the shape {array.shape} and {DATASET} says {expected}: prepare it again"
                )
        if any(row.index >= dataset.patches for row in rows):
            raise DataError(f"{TABLE} names patches beyond the {dataset.patches:,} of {IMAGES}: prepare the patches again")

    def _map(self) -> None:
        self._images, self._labels = (open_array(path, name) for name, path in self._paths.items())

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: pickled, the maps would be whole copies."""
        return {"rows": self.rows, "_paths": self._paths}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()

    def __len__(self) -> int:
        return len(self.rows)

    def image(self, index: int) -> np.ndarray:
        """A patch's pixels, (S, S, 3) uint8 RGB."""
        return np.array(self._images[self.rows[index].index])

    def png(self, index: int) -> bytes:
        """A patch as a request to an endpoint has it: without loss, so that its pixels stay the array's."""
        raw = io.BytesIO()
        Image.fromarray(self.image(index)).save(raw, "PNG", compress_level=1)
        return raw.getvalue()

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        where = self.rows[index].index
        return np.array(self._images[where]), np.array(self._labels[where])
