"""A slide's features as HDF5: written whole or not at all, refused before reading where the file could mislead.

``features`` (N, D) float16, ``coords`` (N, 2) int64 level-0 x and y, ``tissue_fraction`` (N,) float32, all contiguous: a
full read is one read, and a killed writer leaves no file that opens with its full shape and zero rows.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from pathology.contracts.colours import COLOURS
from pathology.contracts.errors import DataError
from pathology.contracts.storage import atomic_write

Attribute = str | int | float | bool
SCHEMA_VERSION = 1
COLOUR = "colour_"
"""Begins the names of the six attributes that are a slide's colours."""
REMEDY = "start again with --param ExtractionRun=<something new> to extract what is missing"

_DATASETS: dict[str, tuple[np.dtype[Any], int]] = {
    "features": (np.dtype("<f2"), 2),
    "coords": (np.dtype("<i8"), 2),
    "tissue_fraction": (np.dtype("<f4"), 1),
}


@dataclass(frozen=True)
class Features:
    """A slide's ``features`` (N, D) float16, ``coords`` (N, 2) int64 level-0 px, ``tissue_fraction`` (N,) float32.

    ``attributes`` are the file's (encoder, checkpoint, settings, reader, MPP and its source, …), ``grid`` those on
    ``coords`` that other tools read (``patch_size``, ``patch_size_level0``, ``level0_width``, …).
    """

    features: np.ndarray
    coords: np.ndarray
    tissue_fraction: np.ndarray
    attributes: dict[str, Attribute] = field(default_factory=dict)
    grid: dict[str, Attribute] = field(default_factory=dict)


def write_features(
    path: Path,
    features: np.ndarray,
    coords: np.ndarray,
    tissue_fraction: np.ndarray,
    attributes: Mapping[str, Attribute] | None = None,
    *,
    grid: Mapping[str, Attribute] | None = None,
    ink_fraction: np.ndarray | None = None,
) -> str:
    """Write (N, D) ``features``, (N, 2) level-0 ``coords`` and (N,) ``tissue_fraction``; the file's sha256.

    Built in memory, written beside, read back, fsynced, renamed. The same content gives the same bytes. ``ink_fraction`` (N,) is what
    of each tile is ink, or may be.

    Raises:
        DataError: when the arrays do not fit together, hold no tile, or features are not finite.
    """
    given = {"features": features, "coords": coords, "tissue_fraction": tissue_fraction}
    arrays = {name: np.ascontiguousarray(array, dtype=_DATASETS[name][0]) for name, array in given.items()}
    _check_arrays(arrays, path.name)
    if ink_fraction is not None:
        arrays["ink_fraction"] = np.ascontiguousarray(ink_fraction, dtype="<f4").reshape(len(features))
    content = _build(arrays, {"schema_version": SCHEMA_VERSION, **(attributes or {})}, grid or {})
    digest = hashlib.sha256(content).hexdigest()
    atomic_write(path, content, check=lambda written: read_features(written, path.stem, digest))
    return digest


def colour_attributes(numbers: Sequence[float]) -> dict[str, Attribute]:
    """A slide's colours, in the order of :data:`pathology.contracts.colours.COLOURS`, as attributes of its file."""
    return {f"{COLOUR}{name}": number for name, number in zip(COLOURS, numbers, strict=True)}


def colours_in(features: Features, slide_id: str) -> tuple[float, ...] | None:
    """A slide's colours; None in files of before they were kept.

    Raises:
        DataError: when some are missing, or are no numbers of 0 to 255.
    """
    found = [features.attributes.get(f"{COLOUR}{name}") for name in COLOURS]
    if found == [None] * len(COLOURS):
        return None
    numbers = [float(value) for value in found if isinstance(value, int | float)]
    if len(numbers) < len(COLOURS) or not all(0 <= number <= 255 for number in numbers):
        raise DataError(f"slide {slide_id}: the colours in its feature file are not six numbers of 0 to 255; {REMEDY}")
    return tuple(numbers)


def content_sha256(features: np.ndarray, coords: np.ndarray) -> str:
    """What a slide's features are whatever the slide is called: sha256 of ``features`` (N, D) as float16, then of ``coords`` (N, 2)
    as int64, row by row. The file's own hash covers the slide's name too."""
    digest = hashlib.sha256()
    for name, array in (("features", features), ("coords", coords)):
        digest.update(np.ascontiguousarray(array, dtype=_DATASETS[name][0]).tobytes())
    return digest.hexdigest()


def _check_arrays(arrays: Mapping[str, np.ndarray], name: str) -> None:
    shapes = {key: array.shape for key, array in arrays.items()}
    rows = len(arrays["features"])
    fits = arrays["features"].ndim == 2 and shapes["coords"] == (rows, 2) and shapes["tissue_fraction"] == (rows,)
    if not fits or rows == 0 or arrays["features"].shape[1] == 0:
        raise DataError(f"{name}: features are (N, D), coords (N, 2), tissue_fraction (N,) with N, D ≥ 1, not {shapes}")
    if not np.isfinite(arrays["features"]).all():
        raise DataError(f"{name}: the encoder gave numbers that are not finite: extract with precision float32")


def _build(arrays: Mapping[str, np.ndarray], attributes: Mapping[str, Attribute], grid: Mapping[str, Attribute]) -> bytes:
    buffer = io.BytesIO()
    # No times and one fixed file version: the bytes depend on the content alone.
    with h5py.File(buffer, "w", libver=("v108", "v110")) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, track_times=False)
        for key, value in sorted(attributes.items()):
            file.attrs[key] = value
        for key, value in sorted(grid.items()):
            file["coords"].attrs[key] = value
    return buffer.getvalue()


def read_features(path: Path, slide_id: str, sha256: str | None = None) -> Features:
    """Read a slide's features; with ``sha256`` the very bytes that are parsed are checked against it.

    Raises:
        DataError: naming the slide whose file is gone, changed, or not what :func:`write_features` writes.
    """
    where = f"slide {slide_id}: its feature file {path.name}"
    try:
        if sha256 is None:
            with path.open("rb") as file:
                return _parse(file, path.stat().st_size, where)
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{where} is gone; {REMEDY}") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{where} changed since it was written (its sha256 is another); {REMEDY}")
    return _parse(io.BytesIO(content), len(content), where)


def _parse(stream: BinaryIO, size: int, where: str) -> Features:
    try:
        with h5py.File(stream, "r") as file:
            arrays = {name: _dataset(file, name, size, where) for name in _DATASETS}
            attributes = _attributes(file, where)
            grid = _attributes(file["coords"], where)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise DataError(f"{where} cannot be read as HDF5 ({' '.join(str(error).split())}); {REMEDY}") from None
    if attributes.get("schema_version") != SCHEMA_VERSION:
        raise DataError(f"{where} has schema version {attributes.get('schema_version')}, not {SCHEMA_VERSION}; {REMEDY}")
    _check_arrays(arrays, where)
    return Features(arrays["features"], arrays["coords"], arrays["tissue_fraction"], attributes, grid)


def _dataset(file: h5py.File, name: str, size: int, where: str) -> np.ndarray:
    """Read one dataset, after refusing all that points outside the file or declares more than the file holds."""
    link = file.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise DataError(f"{where} has no dataset {name!r} of its own" + (" but a link" if link is not None else ""))
    dataset = file[name]
    dtype, dimensions = _DATASETS[name]
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{where}: {name!r} is not a dataset")
    creation = dataset.id.get_create_plist()
    if creation.get_external_count() or creation.get_layout() != h5py.h5d.CONTIGUOUS:
        raise DataError(f"{where}: {name!r} is not stored contiguously inside the file")
    if dataset.dtype != dtype or dataset.ndim != dimensions:
        raise DataError(f"{where}: {name!r} is {dataset.dtype} in {dataset.ndim} dimensions, not {dtype} in {dimensions}")
    wanted = int(np.prod([int(side) for side in dataset.shape], dtype=object)) * dtype.itemsize
    if dataset.id.get_storage_size() != wanted or wanted > size:
        raise DataError(f"{where}: {name!r} declares shape {dataset.shape}, which the file does not hold")
    return np.asarray(dataset[...])


def _attributes(holder: h5py.File | h5py.Dataset, where: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {}
    for key, value in holder.attrs.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if not isinstance(plain, str | int | float | bool):
            raise DataError(f"{where}: the attribute {key!r} is not text or a number")
        attributes[key] = plain
    return attributes
