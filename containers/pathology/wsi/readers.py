"""Slide readers behind one small protocol: cuCIM for speed where it runs, OpenSlide as the reference for every file."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.black import MAX_BLACK_FRACTION, MAX_BLACK_PIXELS, black_pixels
from pathology.wsi.decoder_warnings import DecoderWarnings
from pathology.wsi.mpp import Scale, isotropic
from pathology.wsi.tiff import is_tiff, read_directories
from pathology.wsi.tile_store import Strip, TileStore

CUCIM_SUFFIXES = frozenset({".svs", ".tif", ".tiff"})
"""cuCIM picks its decoder by the file's name."""

BAND = 2**15
"""Width in px of a level of the bands that slides are read in, one after the other: the row of TIFF tiles that two rows of the grid
share is kept, however wide the slide."""
KEPT_MARGIN_PIXELS, MAX_KEPT_BYTES = 20_000, 256 * 2**20
"""px of a row that are kept beside the band, for the width of two threads' regions; and the bytes that are kept at most, as tiles
may be high: 256 px tiles take 40 MB, 1,024 px tiles 162 MB."""
PROBE_PIXELS = 64
MAX_PROBE_DIFFERENCE = 2.0
"""Mean grey levels by which two decoders of one JPEG may differ."""


_DECODER_WARNINGS = DecoderWarnings()


@dataclass(frozen=True)
class Level:
    """A level of the pyramid: its size in px, and level-0 px per px of it."""

    width: int
    height: int
    downsample: float


class SlideReader(Protocol):
    """What reads a slide. ``levels`` run from the finest; ``mpp`` is None when the file gives no scale."""

    name: str
    levels: tuple[Level, ...]
    mpp: Scale | None

    def read_region(self, x: int, y: int, width: int, height: int, level: int) -> np.ndarray:
        """Pixels (height, width, 3) uint8 at ``x``, ``y`` in px *of that level*; glass where the scanner wrote nothing.

        Safe to call from several threads.

        Raises:
            DataError: when the region cannot be decoded.
        """

    def close(self) -> None:
        """Let go of the file."""


def nominal_downsample(base: tuple[int, int], size: tuple[int, int]) -> float:
    """Level-0 px per px of a level of ``size``; a whole number where the sizes are its rounded quotients.

    A level of ⌊W/4⌋ px has pixels of exactly 4 × 4 px, though W/⌊W/4⌋ is 4.0003 and off by 8 px at the far end.
    """
    ratio = (base[0] / size[0] + base[1] / size[1]) / 2
    whole = round(ratio)
    fits = all(abs(whole * small - large) < whole for small, large in zip(size, base, strict=True))
    return float(whole) if whole >= 1 and fits else ratio


class OpenSlideReader:
    """OpenSlide: every vendor's format, and an exception for what it cannot decode."""

    name = "openslide"

    def __init__(self, path: Path) -> None:
        import openslide

        self._path = path
        self._error: type[Exception] = openslide.OpenSlideError
        self._lock = threading.Lock()
        try:
            self._slide: Any = openslide.OpenSlide(str(path))
        except openslide.OpenSlideUnsupportedFormatError:
            raise DataError(f"{path.name}: not a slide format that OpenSlide knows: is it whole, and a slide?") from None
        except openslide.OpenSlideError as error:
            raise DataError(f"{path.name}: OpenSlide cannot open it ({error})") from None
        sizes = self._slide.level_dimensions
        self.levels = tuple(Level(w, h, nominal_downsample(sizes[0], (w, h))) for w, h in sizes)
        self._downsamples: tuple[float, ...] = self._slide.level_downsamples
        self.mpp = _vendor_scale(self._slide.properties)

    def read_region(self, x: int, y: int, width: int, height: int, level: int) -> np.ndarray:
        # Locations are whole level-0 px: below level 0 what comes back may lie up to half a level-0 px beside what was asked.
        factor = self._downsamples[level]
        region = ((round(x * factor), round(y * factor)), level, (width, height))
        slide = self._slide
        try:
            image = slide.read_region(*region)
        except self._error:
            image = self._read_alone(slide, region)
        rgba = np.asarray(image)
        pixels = np.ascontiguousarray(rgba[..., :3])
        pixels[rgba[..., 3] == 0] = 255
        return pixels

    def _read_alone(self, failed: Any, region: tuple[tuple[int, int], int, tuple[int, int]]) -> Any:
        """Read again with a handle that no other thread has: one that met an error answers nothing else ever after, so the
        error may be another region's. The ``failed`` one is replaced for everybody."""
        import openslide

        with self._lock, openslide.OpenSlide(str(self._path)) as fresh:
            if self._slide is failed:
                self._slide = openslide.OpenSlide(str(self._path))
            try:
                return fresh.read_region(*region)
            except self._error as error:
                (x, y), level, _ = region
                where = f"level-0 px {x}, {y} of level {level}"
                raise DataError(f"{self._path.name}: the region at {where} cannot be decoded ({error})") from None

    def close(self) -> None:
        self._slide.close()


def _vendor_scale(properties: Any) -> Scale | None:
    try:
        mpp = isotropic(float(properties["openslide.mpp-x"]), float(properties["openslide.mpp-y"]))
    except (KeyError, ValueError):
        return None
    if mpp is None:
        return None
    return Scale(mpp, "tiff" if properties.get("openslide.vendor") == "generic-tiff" else "vendor")


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

    def __init__(self, path: Path, reference: OpenSlideReader) -> None:
        self._reference_reader = reference
        self.levels = reference.levels
        self.mpp = reference.mpp
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

    def close(self) -> None:
        self._store.clear()
        self._image.close()
        self._reference_reader.close()


def kept_bytes(tiles: Sequence[tuple[int, int]]) -> int:
    """How much of decoded tiles to keep so that each is decoded once, given the (width, height) in px of the levels' tiles; the same
    for every slide with such tiles, so that memory does not grow with the slide."""
    return min(MAX_KEPT_BYTES, 3 * max(height for _, height in tiles) * (BAND + KEPT_MARGIN_PIXELS))


def open_slide(path: Path, *, cucim: bool = True) -> SlideReader:
    """Open a slide with the fastest reader that proves itself on it; ``cucim=False`` keeps to OpenSlide.

    Raises:
        DataError: naming the file when it is missing, truncated, or not a slide.
    """
    if not path.is_file():
        raise DataError(f"{path.name}: there is no such slide")
    try:
        directories = read_directories(path) if is_tiff(path) else []
    except OSError as error:
        raise DataError(f"{path.name}: it cannot be read ({error.strerror})") from None
    resolution = directories[0].mpp if directories else None
    mpp = isotropic(*resolution) if resolution else None
    reference = OpenSlideReader(path)
    reference.mpp = reference.mpp or (Scale(mpp, "tiff") if mpp else None)
    # JPEG alone: asked twice for a tile of another kind that it could not decode, cuCIM never answers (26.10, measured).
    jpeg = bool(directories) and all(directory.jpeg for directory in directories if directory.tiled)
    if cucim and jpeg and path.suffix.lower() in CUCIM_SUFFIXES and load_cucim() is not None:
        return _verified_cucim(path, reference) or reference
    return reference


def _verified_cucim(path: Path, reference: OpenSlideReader) -> CucimReader | None:
    """cuCIM's reader when it sees the same levels, and the same pixels in the middle of each; None otherwise."""
    try:
        reader = CucimReader(path, reference)
        for index, level in enumerate(reference.levels):
            width, height = min(PROBE_PIXELS, level.width), min(PROBE_PIXELS, level.height)
            probe = ((level.width - width) // 2, (level.height - height) // 2, width, height, index)
            expected, decoded = reference.read_region(*probe), reader.read_region(*probe)
            if np.abs(decoded.astype(int) - expected).mean() > MAX_PROBE_DIFFERENCE:
                return None
    except (DataError, RuntimeError, ValueError, OSError):
        return None
    return reader
