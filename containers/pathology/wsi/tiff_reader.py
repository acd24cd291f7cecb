"""Slides that are TIFFs of tiles, read tile by tile with a strict decoder for each codec."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.openslide_reader import OpenSlideReader
from pathology.wsi.tiff import Directory, Tiles
from pathology.wsi.tile_decoders import JPEG2000, tile_decoder
from pathology.wsi.tile_errors import DamagedTileError, NotTakenError
from pathology.wsi.tile_store import Strip, TileStore, kept_bytes

VENDORS = frozenset({"aperio", "generic-tiff"})
"""Of those whose slides are TIFFs, as OpenSlide calls them, the ones whose levels are plain grids of tiles. Others overlap their
tiles, have several areas, or levels of other sizes than their TIFF says."""

MAX_EXCESS = 4
"""A tile of more bytes than this many times its px is not read: no codec writes it."""


class TiffReader:
    """A TIFF's own tiles, each decoded once and strictly. What a decoder complains of is bad, whatever OpenSlide shows of it; tiles
    that are not there, or not written as the others, are OpenSlide's."""

    name = "tiff"
    keeps_tiles = True

    def __init__(self, path: Path, directories: Sequence[Directory], reference: OpenSlideReader) -> None:
        """Raises NotTakenError, saying what of the slide is not read here."""
        if reference.vendor not in VENDORS:
            raise NotTakenError(f"its levels are not plain grids of tiles: it is a slide of {reference.vendor}")
        self._name = path.name
        self._reference = reference
        self.levels = reference.levels
        self._tiles = _tiles_of_levels(directories, [(level.width, level.height) for level in self.levels])
        self._decoders = [tile_decoder(tiles) for tiles in self._tiles]
        self._missing = _missing(directories, self._tiles)
        self.tolerance = max(1 if tiles.compression in JPEG2000 else 0 for tiles in self._tiles)
        """Grey levels by which a px may differ from OpenSlide's: two builds of one JPEG 2000 decoder round alike, of colours less so."""
        sizes = [(tiles.width, tiles.height) for tiles in self._tiles]
        self._store = TileStore(
            [(level.width, level.height) for level in self.levels], sizes, self._decode, kept_bytes(sizes), together=False
        )
        self._file = os.open(path, os.O_RDONLY)

    def read_region(self, x: int, y: int, width: int, height: int, level: int) -> np.ndarray:
        return self._store.region(x, y, width, height, level)

    def largest_tiles(self, level: int, count: int) -> list[tuple[int, int, int, int]]:
        """Where the tiles of most bytes lie, which show most: x, y, width, height in px of the level."""
        tiles, size = self._tiles[level], self.levels[level]
        across = -(-size.width // tiles.width)
        places = []
        for index in np.argsort(tiles.lengths.astype(np.int64), kind="stable")[::-1][:count].tolist():
            x, y = index % across * tiles.width, index // across * tiles.height
            places.append((x, y, min(tiles.width, size.width - x), min(tiles.height, size.height - y)))
        return places

    def _decode(self, level: int, row: int, first: int, last: int) -> Strip:
        """One tile: ``last`` is ``first`` + 1."""
        tiles, size = self._tiles[level], self.levels[level]
        left, top = first * tiles.width, row * tiles.height
        width, height = min(tiles.width, size.width - left), min(tiles.height, size.height - top)
        index = row * -(-size.width // tiles.width) + first
        try:
            if self._missing[level][index]:
                raise NotTakenError("there is nothing of it")
            return Strip(self._decoders[level](self._bytes(tiles, index))[:height, :width], {})
        except NotTakenError:
            return self._by_reference(left, top, width, height, level, first)
        except DamagedTileError as error:
            where = f"the TIFF tile at px {left}, {top} of level {level}"
            return Strip(np.zeros((height, width, 3), np.uint8), {first: f"{self._name}: {where} cannot be decoded ({error})"})

    def _by_reference(self, left: int, top: int, width: int, height: int, level: int, column: int) -> Strip:
        try:
            return Strip(self._reference.read_region(left, top, width, height, level), {})
        except DataError as error:
            return Strip(np.zeros((height, width, 3), np.uint8), {column: str(error)})

    def _bytes(self, tiles: Tiles, index: int) -> bytes:
        offset, length = int(tiles.offsets[index]), int(tiles.lengths[index])
        if length > MAX_EXCESS * tiles.width * tiles.height * tiles.samples * max(1, tiles.bits[0] // 8):
            raise DamagedTileError(f"it has {length} bytes")
        try:
            data = os.pread(self._file, length, offset)
        except OSError as error:
            raise DamagedTileError(f"it cannot be read: {error.strerror}") from None
        if len(data) != length:
            raise DamagedTileError(f"{len(data)} bytes of {length} are there: the file has changed")
        return data

    def forget_tiles(self) -> None:
        self._store.clear()

    def release(self) -> None:
        """Let go of the file and leave OpenSlide, which somebody else goes on with."""
        self._store.clear()
        os.close(self._file)

    def close(self) -> None:
        self.release()
        self._reference.close()


def _tiles_of_levels(directories: Sequence[Directory], sizes: Sequence[tuple[int, int]]) -> list[Tiles]:
    """The tiles of the directory of each level's size, in the file's order where two have one size."""
    left = [directory for directory in directories if directory.tiles is not None]
    found: list[Tiles] = []
    for size in sizes:
        same = next((directory for directory in left if (directory.width, directory.height) == size), None)
        if same is None or same.tiles is None:
            raise NotTakenError(f"no image of it has the {size[0]} × {size[1]} px of a level")
        left.remove(same)
        found.append(same.tiles)
    return found


def _missing(directories: Sequence[Directory], levels: Sequence[Tiles]) -> list[np.ndarray]:
    """Of each level's tiles (n,) bool which are not there; OpenSlide draws those out of the finer level, and what lies over them in
    the coarser levels too, whatever is written there."""
    grids = {id(directory.tiles): directory for directory in directories if directory.tiles is not None}
    missing: list[np.ndarray] = []
    shape = (0, 0)
    for tiles in levels:
        directory = grids[id(tiles)]
        finer_shape, shape = shape, (-(-directory.height // tiles.height), -(-directory.width // tiles.width))
        here = (tiles.lengths[: shape[0] * shape[1]] == 0).copy()
        if missing and missing[-1].any():
            steps = [max(1, round(finer / coarse)) for finer, coarse in zip(finer_shape, shape, strict=True)]
            rows, columns = np.divmod(np.flatnonzero(missing[-1]), finer_shape[1])
            rows, columns = (
                np.minimum(at // step, side - 1) for at, step, side in zip((rows, columns), steps, shape, strict=True)
            )
            here[rows * shape[1] + columns] = True
        missing.append(here)
    return missing
