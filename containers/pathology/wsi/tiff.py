"""A bounded walk over a TIFF's directories: what every tile's offset and length say, before any decoder believes them.

TIFF 6.0 (Adobe, 1992) and BigTIFF. A half-downloaded slide opens in lenient readers and shows black where bytes are missing;
here it is refused by arithmetic on the file's size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pathology.contracts.errors import DataError

MAX_DIRECTORIES = 4096
MAX_ENTRIES = 4096

MAX_TILE_PIXELS = 2**24
"""Of one tile, 4,096 px a side: decoders allocate what a tile declares, and some end the process when they cannot."""

JPEG = 7
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES = 256, 257, 258, 259, 262, 266, 274, 277
PLANES, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 284, 317, 338, 339, 347
STRIP_OFFSETS, STRIP_LENGTHS, TILE_WIDTH, TILE_HEIGHT = 273, 279, 322, 323
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, TILE_OFFSETS, TILE_LENGTHS = 282, 283, 296, 324, 325
_WANTED = frozenset({
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES, PLANES, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT,
    JPEG_TABLES, TILE_WIDTH, TILE_HEIGHT, STRIP_OFFSETS, STRIP_LENGTHS,
    X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, TILE_OFFSETS, TILE_LENGTHS,
})  # fmt: skip
_TYPES = {1: "u1", 7: "u1", 3: "u2", 4: "u4", 5: "u4,u4", 13: "u4", 16: "u8", 18: "u8"}
_MICRONS = {2: 25400.0, 3: 10000.0}
"""µm in the unit of resolution: 2 is the inch, 3 the centimetre; 1 has no unit."""


@dataclass(frozen=True, eq=False)
class Tiles:
    """How a directory's tiles are written: where each begins and how many bytes it has, row by row, (n,) integers; their size in px;
    and the tags of TIFF 6.0 that say how px are packed. ``tables`` are a JPEG's, shared by its tiles; empty where there are none."""

    offsets: np.ndarray[Any, Any]
    lengths: np.ndarray[Any, Any]
    width: int
    height: int
    compression: int
    photometric: int
    samples: int
    bits: tuple[int, ...]
    sample_format: tuple[int, ...]
    extra_samples: tuple[int, ...]
    planes: int
    predictor: int
    fill_order: int
    orientation: int
    tables: bytes
    big_endian: bool


@dataclass(frozen=True)
class Directory:
    """One image of a TIFF: its size in px, µm/px in x and y where its resolution tags give them, and its tiles where it has any."""

    width: int
    height: int
    mpp: tuple[float, float] | None
    tiles: Tiles | None

    @property
    def tiled(self) -> bool:
        """Whether it is in tiles, and not in strips."""
        return self.tiles is not None

    @property
    def jpeg(self) -> bool:
        """Whether it is JPEG in tiles."""
        return self.tiles is not None and self.tiles.compression == JPEG


def is_tiff(path: Path) -> bool:
    """Whether the first four bytes are those of a TIFF or BigTIFF; Hamamatsu's NDPI bends the format and is not one."""
    with path.open("rb") as file:
        magic = file.read(4)
    return magic in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"} and path.suffix.lower() != ".ndpi"


def read_directories(path: Path) -> list[Directory]:
    """Walk the main chain of directories and check every tile and strip against the file's size.

    Raises:
        DataError: when a directory, a tile or a strip lies outside the file: it is truncated or damaged.
    """
    size = path.stat().st_size
    directories: list[Directory] = []
    seen: set[int] = set()
    with path.open("rb") as file:
        header = file.read(16)
        order = "<" if header[:2] == b"II" else ">"
        big = header[2:4] in {b"+\0", b"\0+"}
        offset = struct.unpack_from(order + ("Q" if big else "I"), header.ljust(16, b"\0"), 8 if big else 4)[0]
        while offset:
            if offset in seen or len(directories) >= MAX_DIRECTORIES:
                raise DataError(f"{path.name}: its TIFF directories run in a circle: the file is damaged")
            seen.add(offset)
            tags, offset = _Directories(file, size, order, big, path.name).read(offset)
            directories.append(_directory(tags, size, path.name, big_endian=order == ">"))
    if not directories:
        raise DataError(f"{path.name}: a TIFF without any image: the file is damaged")
    return directories


@dataclass(frozen=True)
class _Directories:
    """Reads directories of one file, never outside its ``size`` bytes."""

    file: BinaryIO
    size: int
    order: str
    big: bool
    name: str

    def _at(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise DataError(f"{self.name}: truncated: its index points to byte {offset + length} of {self.size}")
        self.file.seek(offset)
        return self.file.read(length)

    def read(self, offset: int) -> tuple[dict[int, np.ndarray[Any, Any]], int]:
        """The wanted tags of the directory at ``offset``, and where the next one is (0: none)."""
        head, entry, value = ("Q", 20, 8) if self.big else ("H", 12, 4)
        count = struct.unpack(self.order + head, self._at(offset, struct.calcsize(head)))[0]
        if count > MAX_ENTRIES:
            raise DataError(f"{self.name}: a TIFF directory of {count} entries: the file is damaged")
        offset += struct.calcsize(head)
        raw = self._at(offset, count * entry + value)
        tags: dict[int, np.ndarray[Any, Any]] = {}
        for start in range(0, count * entry, entry):
            tag, kind = struct.unpack_from(self.order + "HH", raw, start)
            number = struct.unpack_from(self.order + ("Q" if self.big else "I"), raw, start + 4)[0]
            if tag in _WANTED and kind in _TYPES:
                tags[tag] = self._values(raw[start + entry - value : start + entry], _TYPES[kind], number)
        return tags, struct.unpack_from(self.order + ("Q" if self.big else "I"), raw, count * entry)[0]

    def _values(self, inline: bytes, kind: str, number: int) -> np.ndarray[Any, Any]:
        dtype = np.dtype(",".join(self.order + part for part in kind.split(",")))
        length = number * dtype.itemsize
        if length > len(inline):
            inline = self._at(struct.unpack(self.order + ("Q" if self.big else "I"), inline)[0], length)
        return np.frombuffer(inline[:length], dtype)


def _directory(tags: dict[int, np.ndarray[Any, Any]], size: int, name: str, *, big_endian: bool) -> Directory:
    if WIDTH not in tags or HEIGHT not in tags:
        raise DataError(f"{name}: a TIFF image without its size: the file is damaged")
    if TILE_OFFSETS in tags:
        _check_tiles(tags, name)
    for offset_tag, length_tag in ((TILE_OFFSETS, TILE_LENGTHS), (STRIP_OFFSETS, STRIP_LENGTHS)):
        if offset_tag in tags:
            _check_inside(tags[offset_tag], tags.get(length_tag), size, name)
    tiles = _tiles(tags, big_endian=big_endian) if TILE_OFFSETS in tags else None
    return Directory(int(tags[WIDTH][0]), int(tags[HEIGHT][0]), _resolution(tags), tiles)


def _tiles(tags: dict[int, np.ndarray[Any, Any]], *, big_endian: bool) -> Tiles:
    """With TIFF 6.0's defaults for what is not written. A photometric of -1 is none: it has no default."""

    def all_of(tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(int(value) for value in tags[tag][:16]) if len(tags.get(tag, ())) else default

    def one(tag: int, default: int) -> int:
        return all_of(tag, (default,))[0]

    samples = one(SAMPLES, 1)
    return Tiles(
        offsets=tags[TILE_OFFSETS], lengths=tags[TILE_LENGTHS], width=one(TILE_WIDTH, 0), height=one(TILE_HEIGHT, 0),
        compression=one(COMPRESSION, 1), photometric=one(PHOTOMETRIC, -1), samples=samples, bits=all_of(BITS, (1,)),
        sample_format=all_of(SAMPLE_FORMAT, (1,)), extra_samples=all_of(EXTRA_SAMPLES, ()), planes=one(PLANES, 1),
        predictor=one(PREDICTOR, 1), fill_order=one(FILL_ORDER, 1), orientation=one(ORIENTATION, 1),
        tables=tags[JPEG_TABLES].tobytes() if JPEG_TABLES in tags else b"", big_endian=big_endian,
    )  # fmt: skip


def _check_tiles(tags: dict[int, np.ndarray[Any, Any]], name: str) -> None:
    """Tiles of a size that can be decoded, and as many as the image takes."""
    if TILE_WIDTH not in tags or TILE_HEIGHT not in tags:
        raise DataError(f"{name}: tiles without their size: the file is damaged")
    sides = [(int(tags[whole][0]), int(tags[tile][0])) for whole, tile in ((WIDTH, TILE_WIDTH), (HEIGHT, TILE_HEIGHT))]
    if not all(tile > 0 for _, tile in sides) or sides[0][1] * sides[1][1] > MAX_TILE_PIXELS:
        raise DataError(f"{name}: tiles of {sides[0][1]} × {sides[1][1]} px: the file is damaged, or made to do harm")
    wanted = -(-sides[0][0] // sides[0][1]) * -(-sides[1][0] // sides[1][1])
    if len(tags[TILE_OFFSETS]) < wanted:
        raise DataError(f"{name}: {len(tags[TILE_OFFSETS])} tiles, and its size takes {wanted}: the file is damaged")


def _check_inside(offsets: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any] | None, size: int, name: str) -> None:
    if lengths is None or len(lengths) != len(offsets):
        raise DataError(f"{name}: {len(offsets)} tiles and not as many lengths: the file is damaged")
    # Compared without adding, so that a huge offset cannot wrap around.
    # Where the header is no tile can be; a scanner that left one out gives it no length either.
    nowhere = (offsets == 0) & (lengths > 0)
    outside = nowhere | (offsets.astype(np.uint64) > size) | (lengths.astype(np.uint64) > size)
    ends = np.where(outside, np.uint64(0), offsets.astype(np.uint64)) + np.where(outside, 0, lengths).astype(np.uint64)
    bad = outside | (ends > size)
    if bad.any():
        raise DataError(f"{name}: truncated or damaged: {int(bad.sum())} of {len(bad)} tiles lie outside the file")


def _resolution(tags: dict[int, np.ndarray[Any, Any]]) -> tuple[float, float] | None:
    microns = _MICRONS.get(int(tags[RESOLUTION_UNIT][0])) if RESOLUTION_UNIT in tags else None
    if microns is None or X_RESOLUTION not in tags or Y_RESOLUTION not in tags:
        return None
    pairs = [tags[tag][0].tolist() for tag in (X_RESOLUTION, Y_RESOLUTION)]
    if any(not isinstance(pair, tuple) or 0 in pair for pair in pairs):
        return None
    return (microns * pairs[0][1] / pairs[0][0], microns * pairs[1][1] / pairs[1][0])
