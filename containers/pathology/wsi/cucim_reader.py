"""cuCIM's reader on the CPU, and how it is loaded."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.black import MAX_BLACK_FRACTION, MAX_BLACK_PIXELS, black_pixels
from pathology.wsi.decoder_warnings import DecoderWarnings
from pathology.wsi.openslide_reader import OpenSlideReader
from pathology.wsi.tile_store import Strip, TileStore, kept_bytes

_DECODER_WARNINGS = DecoderWarnings()


@cache
def load_cucim() -> Any:
    """cuCIM's module, or None where it is not installed or can no longer be loaded.

    Loaded after torch it, or its decoder on the first slide, never returns (26.10 after torch 2.15's CUDA build, measured):
    whoever needs both calls this first; after torch there is OpenSlide. Its tile cache is kept off, for which a file has to say
    so before the first import (see :mod:`pathology.wsi.tile_store`); where somebody has switched it on there is OpenSlide too.
    """
    loaded = "cucim.clara" in sys.modules
    if importlib.util.find_spec("cucim") is None or ("torch" in sys.modules and not loaded):
        return None
    configured = os.environ.get("CUCIM_CONFIG_PATH")
    with tempfile.TemporaryDirectory(prefix="cucim-") as folder:
        config = Path(folder) / "cucim.json"
        config.write_text(json.dumps({"cache": {"type": "nocache"}}))
        os.environ["CUCIM_CONFIG_PATH"] = str(config)
        try:
            module = _import_cucim(Path(folder) / "none.tif")
        finally:
            del os.environ["CUCIM_CONFIG_PATH"]
            if configured is not None:
                os.environ["CUCIM_CONFIG_PATH"] = configured
    if module is not None and module.CuImage.cache().config["type"] != "nocache":
        return None
    return module


def _import_cucim(missing: Path) -> Any:
    """Import, and load the decoder too: asking for a file that is ``missing`` does it."""
    try:
        module: Any = importlib.import_module("cucim")
        module.CuImage.cache()
    except (ImportError, AttributeError, OSError):  # the empty placeholder of other systems, or libraries it lacks
        return None
    with suppress(RuntimeError, ValueError):
        module.CuImage(str(missing))
    return module


class CucimReader:
    """cuCIM's pixels, TIFF tile by TIFF tile; what looks undecoded, or what it warned of, is read again by OpenSlide, which
    raises where cuCIM answers black or some other picture."""

    name = "cucim"
    keeps_tiles = False

    def __init__(self, path: Path, reference: OpenSlideReader) -> None:
        self._reference_reader = reference
        self.levels = reference.levels
        self._image = load_cucim().CuImage(str(path))
        self._downsamples: list[float] = list(self._image.resolutions["level_downsamples"])
        self._tiles: list[tuple[int, int]] = [tuple(size) for size in self._image.resolutions["level_tile_sizes"]]
        sizes = [tuple(size) for size in self._image.resolutions["level_dimensions"]]
        if sizes != [(level.width, level.height) for level in self.levels]:
            raise DataError(f"{path.name}: cuCIM and OpenSlide see different levels")
        if any(min(tile) < 1 for tile in self._tiles):
            raise DataError(f"{path.name}: cuCIM sees a level without tiles")
        self._store = TileStore(sizes, self._tiles, self._decode, kept_bytes(self._tiles))

    def read_region(self, x: int, y: int, width: int, height: int, level: int) -> np.ndarray:
        return self._store.region(x, y, width, height, level)

    def _decode(self, level: int, row: int, first: int, last: int) -> Strip:
        """Tiles of a row, read together, and each alone when something is wrong with one of them."""
        across, down = self._tiles[level]
        left, top = first * across, row * down
        width, height = min(last * across, self.levels[level].width) - left, min(top + down, self.levels[level].height) - top
        pixels = self._cucim_pixels(left, top, width, height, level)
        if pixels is None and last - first > 1:
            strips = [self._decode(level, row, column, column + 1) for column in range(first, last)]
            bad = {column: reason for strip in strips for column, reason in strip.bad.items()}
            return Strip(np.concatenate([strip.pixels for strip in strips], axis=1), bad)
        if pixels is not None and black_pixels(pixels) <= min(MAX_BLACK_PIXELS, MAX_BLACK_FRACTION * height * min(across, width)):
            return Strip(pixels, {})
        suspect = pixels is None
        pixels, bad = np.zeros((height, width, 3), np.uint8) if pixels is None else np.array(pixels), {}
        for column in range(first, last):
            start = (column - first) * across
            tile = pixels[:, start : start + across]
            if suspect or black_pixels(tile):
                try:
                    tile[:] = self._reference_reader.read_region(left + start, top, tile.shape[1], height, level)
                except DataError as error:
                    bad[column] = str(error)
        return Strip(pixels, bad)

    def _cucim_pixels(self, left: int, top: int, width: int, height: int, level: int) -> np.ndarray | None:
        """cuCIM's pixels (height, width, 3) uint8; None when it printed a warning, or could not decode them."""
        # cuCIM floors level-0 locations to px of the level: aim inside the px, not at its edge.
        factor = self._downsamples[level]
        location = tuple(int(np.ceil(value * factor - 1e-3)) for value in (left, top))
        with _DECODER_WARNINGS.captured() as warned:
            try:
                pixels = np.asarray(self._image.read_region(location=location, size=(width, height), level=level, device="cpu"))
            except (RuntimeError, ValueError, MemoryError):
                return None
            return None if warned() or pixels.shape != (height, width, 3) else pixels

    def forget_tiles(self) -> None:
        self._store.clear()

    def close(self) -> None:
        self._store.clear()
        self._image.close()
        self._reference_reader.close()
