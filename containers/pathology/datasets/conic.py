"""Lizard in CoNIC's form: checked and split once, then read by index where training and tests run.

patches.csv says which side each patch is on, dataset.json which arrays it is about; the arrays, 2.3 GB, are not copied but proven.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pathology.contracts.errors import DataError
from pathology.contracts.features import sha256_of
from pathology.contracts.settings_lizard import PrepareLizard
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables_lizard import NucleiPatchRow
from pathology.datasets.conic_files import IMAGES, LABELS, Conic, open_array, read_conic
from pathology.datasets.conic_split import cohort_of, source_of, sources_of, split, strata

__all__ = ["IMAGES", "LABELS", "Conic", "Nuclei", "NucleiDataset", "read_conic", "read_patches", "read_prepared", "split"]

TABLE, DATASET = "patches.csv", "dataset.json"
SPLITS = ("train", "validation", "test")

Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]


class SplitFigures(StrictJson):
    """Source images, patches and nuclei of one side; ``classes`` all nuclei of each class, not only those in the centre."""

    sources: int
    patches: int
    nuclei: int
    classes: dict[str, int]


class NucleiDataset(StrictJson):
    """dataset.json: which arrays, by hash, patches.csv is about; how they were split and what is in them.

    ``pooled`` names groups of cohorts too small to be stratified on their own; ``identical`` patches with the very same pixels.
    """

    dataset: Literal["lizard"] = "lizard"
    classes: tuple[str, ...]
    side: int
    patches: int
    images_sha256: Sha256
    labels_sha256: Sha256
    patches_sha256: Sha256
    settings: PrepareLizard
    pooled: tuple[tuple[str, ...], ...]
    splits: dict[str, SplitFigures]
    identical: tuple[tuple[str, ...], ...]


def prepare(folder: Path, settings: PrepareLizard) -> tuple[list[NucleiPatchRow], NucleiDataset]:
    """Check the data set in ``folder`` and split it; rows in the arrays' order.

    Raises:
        DataError: in one line that names what is wrong.
    """
    conic = read_conic(folder, settings.classes)
    rows = split(conic.names, conic.nuclei.sum(axis=1).tolist(), settings)
    figures = {name: _figures(rows, conic, name) for name in SPLITS}
    for name, found in figures.items():
        if not found.nuclei:
            raise DataError(f"no nucleus lies in the split {name}: choose another 'fold' or 'seed', or add source images")
    dataset = NucleiDataset(
        classes=conic.classes,
        side=conic.side,
        patches=len(rows),
        images_sha256=sha256_of(folder / IMAGES),
        labels_sha256=sha256_of(folder / LABELS),
        patches_sha256=hashlib.sha256(NucleiPatchRow.table(rows)).hexdigest(),
        settings=settings,
        pooled=tuple(pooled for pooled in strata(sources_of(conic.names)).values() if len(pooled) > 1),
        splits=figures,
        identical=conic.identical,
    )
    return rows, dataset


def _figures(rows: Sequence[NucleiPatchRow], conic: Conic, name: str) -> SplitFigures:
    own = [row for row in rows if row.split == name]
    nuclei = conic.nuclei[[row.index for row in own]].sum(axis=0).tolist()
    classes = dict(zip(conic.classes, nuclei, strict=True))
    return SplitFigures(sources=len({row.source for row in own}), patches=len(own), nuclei=sum(nuclei), classes=classes)


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
        twice = [found for found, count in Counter(getattr(row, value) for row in rows).items() if count > 1]
        if twice:
            raise DataError(f"{path}: {value} {twice[0]} stands there twice: prepare the patches again")
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


def describe(dataset: NucleiDataset) -> str:
    """A few lines to read in a log."""
    lines = []
    for name, found in dataset.splits.items():
        lines.append(f"{name:<11}{found.patches:>6} patches of {found.sources} source images, {found.nuclei:,} nuclei")
        absent = [word for word, count in found.classes.items() if not count]
        if absent:
            lines.append(f"warning: no {' and no '.join(absent)} in {name}: nothing is learnt or said of them")
    lines += [f"cohorts {' and '.join(names)} are too small to stratify alone and count as one" for names in dataset.pooled]
    if dataset.identical:
        copies = sum(map(len, dataset.identical)) - len(dataset.identical)
        lines.append(f"warning: {copies} patches have the very pixels of another; dataset.json lists them under 'identical'")
    return "\n".join(lines)


def staged_path(root: Path, sha256: str) -> Path:
    """Where staging puts an array: by its content, so that two data sets share a file system."""
    return root / f"{sha256}.npy"


def array_path(root: Path, name: str, sha256: str) -> Path:
    """Where an array lies below ``root``: by its hash, as staged, or else by its name, as people give it."""
    staged = staged_path(root, sha256)
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

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        where = self.rows[index].index
        return np.array(self._images[where]), np.array(self._labels[where])
