"""Tiles of a TIFF that are packed without loss, or not at all: unpacked to their exact size, checksums proven where there is one.

Deflate has an Adler-32, which libtiff never looks at; a ZSTD frame may have a checksum; LZW and plain tiles have none. Predictor and
depth are undone as libtiff's RGBA interface does it, which is what OpenSlide shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np

from pathology.wsi.tiff import Tiles
from pathology.wsi.tile_errors import DamagedTileError, NotTakenError

NONE, LZW, DEFLATE, OLD_DEFLATE, ZSTD, WEBP = 1, 5, 8, 32946, 50000, 50001

_UNPACK: Mapping[int, tuple[str, Callable[..., Any]]] = {
    LZW: ("LZW", imagecodecs.lzw_decode),
    DEFLATE: ("Deflate", imagecodecs.deflate_decode),
    OLD_DEFLATE: ("Deflate", imagecodecs.deflate_decode),
    ZSTD: ("ZSTD", imagecodecs.zstd_decode),
}
PACKED = frozenset({NONE, *_UNPACK})


def check_packed(tiles: Tiles) -> None:
    """Whether :func:`decode_packed` takes these tiles.

    Raises:
        NotTakenError: saying why not.
    """
    if tiles.photometric != 2:
        raise NotTakenError(f"its colours are not RGB (photometric {tiles.photometric})")
    if tiles.samples not in {3, 4} or len(tiles.extra_samples) != tiles.samples - 3:
        raise NotTakenError(f"it has {tiles.samples} samples a px, {len(tiles.extra_samples)} of them not colours")
    if set(tiles.bits) not in ({8}, {16}) or set(tiles.sample_format) != {1}:
        raise NotTakenError("its samples are not whole numbers of 8 or 16 bits")
    if tiles.predictor not in {1, 2}:
        raise NotTakenError(f"its predictor is {tiles.predictor}")
    if tiles.predictor == 2 and tiles.compression == NONE:
        raise NotTakenError("it has a predictor and is not packed")


def decode_packed(data: bytes, tiles: Tiles) -> np.ndarray:
    """(height, width, 3) uint8 RGB of a tile's bytes.

    Raises:
        DamagedTileError: when it does not unpack to exactly its size, or its checksum fails.
        NotTakenError: when a px of it is not opaque.
    """
    dtype = np.dtype(np.uint8) if tiles.bits[0] == 8 else np.dtype(">u2" if tiles.big_endian else "<u2")
    size = tiles.height * tiles.width * tiles.samples * dtype.itemsize
    raw = data if tiles.compression == NONE else _unpacked(data, tiles.compression, size)
    if len(raw) != size:
        raise DamagedTileError(f"it has {len(raw)} bytes and its size takes {size}")
    samples = np.frombuffer(raw, dtype).reshape(tiles.height, tiles.width, tiles.samples)
    if tiles.predictor == 2:
        samples = np.cumsum(samples, axis=1, dtype=dtype.newbyteorder("="))
    if tiles.samples == 4 and (samples[..., 3] != np.iinfo(dtype).max).any():
        raise NotTakenError("it is transparent in part")
    colours = samples[..., :3]
    if dtype.itemsize == 2:  # libtiff's rounding
        colours = ((colours.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.ascontiguousarray(colours)


def decode_webp(data: bytes, tiles: Tiles) -> np.ndarray:
    """(height, width, 3) uint8 RGB of a tile's bytes. WebP has no checksum.

    Raises:
        DamagedTileError: when libwebp fails, or the picture is of another size.
    """
    pixels = np.empty((tiles.height, tiles.width, 3), np.uint8)
    try:
        imagecodecs.webp_decode(data, hasalpha=False, out=pixels)
    except (RuntimeError, ValueError) as error:
        raise DamagedTileError(f"WebP: {error}") from None
    return pixels


def _unpacked(data: bytes, compression: int, size: int) -> bytes:
    """At most a byte more than ``size``, so that what unpacks to more is found, and not given memory."""
    name, unpack = _UNPACK[compression]
    try:
        return bytes(memoryview(unpack(data, out=size + 1)))
    except (RuntimeError, ValueError) as error:
        raise DamagedTileError(f"{name}: {error}") from None
