"""images.npy and labels.npy of CoNIC's layout: checked by their headers, mapped for reading, never loaded whole."""

from __future__ import annotations

import math
import tokenize
from pathlib import Path
from typing import Any

import numpy as np

from pathology.contracts.errors import DataError

IMAGES, LABELS = "images.npy", "labels.npy"
COUNTS, NAMES = "counts.csv", "patch_info.csv"
MIN_SIDE, MAX_SIDE = 64, 2048
"""px. Smaller patches hold few whole nuclei; one larger is a slide's, and is held in memory whole."""


def staged_name(sha256: str) -> str:
    """What staging calls an array: by its content, so that two data sets share a file system."""
    return f"{sha256}.npy"


KINDS: dict[str, tuple[np.dtype[Any], int]] = {IMAGES: (np.dtype("u1"), 3), LABELS: (np.dtype("<u2"), 2)}
"""Type and channels of either array."""


def open_array(path: Path, name: str = "") -> np.ndarray:
    """Map ``images.npy`` or ``labels.npy`` for reading; ``name`` says which where the file itself is called otherwise.

    The header is read by numpy's own parser, which runs nothing; objects are refused before a byte of them is touched.

    Raises:
        DataError: for a file that is absent, empty or not an npy, of another type, shape or order, or of another size than it declares.
    """
    name = name or path.name
    dtype, channels = KINDS[name]
    shape, fortran, stored, offset = _header(path)
    if stored.hasobject:
        raise DataError(f"{name} holds Python objects, and opening those runs what is in them; refused: save it as {dtype}")
    if stored != dtype:
        raise DataError(f"{name} is {stored} and should be {dtype}: save it as {dtype}, without scaling")
    if len(shape) != 4 or min(shape) < 1 or shape[1] != shape[2] or shape[3] != channels:
        raise DataError(
            f"{name} has the shape {_short(shape)} and should have (patches, side, side, {channels}): correct the file"
        )
    if not MIN_SIDE <= shape[1] <= MAX_SIDE:
        raise DataError(f"{name} holds patches of {shape[1]} px: from {MIN_SIDE} to {MAX_SIDE} px can be read; cut them again")
    if fortran:
        raise DataError(f"{name} is in Fortran's order, slow to read by patch: save numpy.ascontiguousarray of it")
    declared, size = offset + math.prod(shape) * dtype.itemsize, path.stat().st_size
    if declared != size:
        raise DataError(f"{name} has {size:,} bytes and its header declares {declared:,}: fetch the file again")
    return np.memmap(path, dtype, mode="r", offset=offset, shape=shape)


def _header(path: Path) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether in Fortran's order, type, and the offset of the data in bytes."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):  # what numpy writes for arrays of numbers; its header has at most 64 KiB
                raise ValueError(f"npy format {version[0]}.{version[1]}")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            return shape, fortran, dtype, file.tell()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file: give the folder with {IMAGES}, {LABELS}, {COUNTS} and {NAMES}") from None
    except (OSError, ValueError, TypeError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path.name} cannot be read as npy ({reason:.150}): fetch the file again") from None


def _short(shape: tuple[int, ...]) -> str:
    return f"{shape!s:.80}"
