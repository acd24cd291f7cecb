"""Which reader reads a slide: the first that takes its format and proves itself on it, OpenSlide for every other.

The order is ours, cuCIM's where it is installed, OpenSlide's; it depends on the file alone, never on a clock.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.cucim_reader import CucimReader, load_cucim
from pathology.wsi.facts import read_facts
from pathology.wsi.flat import FlatReader, is_flat
from pathology.wsi.openslide_reader import OpenSlideReader
from pathology.wsi.pyramid import Slide
from pathology.wsi.reader import SlideReader
from pathology.wsi.tiff import Directory, is_tiff, read_directories
from pathology.wsi.tiff_reader import TiffReader
from pathology.wsi.tile_errors import NotTakenError

ReaderName = Literal["tiff", "cucim", "openslide"]
READERS: tuple[ReaderName, ...] = ("tiff", "cucim", "openslide")
"""In the order in which they are tried."""

CUCIM_SUFFIXES = frozenset({".svs", ".tif", ".tiff"})
"""cuCIM picks its decoder by the file's name."""

PROBE_PIXELS = 64
PROBE_TILES = 3
"""Tiles of a level that are tried, those of most bytes, until both readers have shown one: one of them may be damaged."""

MAX_PROBE_DIFFERENCE = 2.0
"""Mean grey levels by which cuCIM's decoder of a JPEG may differ from OpenSlide's, and any at a level whose px OpenSlide blends."""

_LOGGER = logging.getLogger(__name__)


def open_slide(path: Path, *, readers: Sequence[ReaderName] = READERS) -> Slide:
    """Open a slide with the first of ``readers`` that proves itself on it, and prove its levels; OpenSlide needs no proof.

    Raises:
        DataError: naming the file when it is missing, truncated, or not a slide.
    """
    if not path.is_file():
        raise DataError(f"{path.name}: there is no such slide")
    try:
        directories = read_directories(path) if is_tiff(path) else []
    except OSError as error:
        raise DataError(f"{path.name}: it cannot be read ({error.strerror})") from None
    if is_flat(path, directories):
        return Slide(FlatReader(path), read_facts({}, directories))
    reference = OpenSlideReader(path)
    return Slide(_reader(path, reference, directories, readers), read_facts(reference.properties, directories))


def _reader(path: Path, reference: OpenSlideReader, directories: list[Directory], readers: Sequence[ReaderName]) -> SlideReader:
    if directories and "tiff" in readers:
        try:
            return _verified_tiff(path, directories, reference)
        except NotTakenError as reason:
            _LOGGER.info("%s: not read tile by tile: %s", path.name, reason)
    # JPEG alone: asked twice for a tile of another kind that it could not decode, cuCIM never answers (26.10, measured).
    jpeg = bool(directories) and all(directory.jpeg for directory in directories if directory.tiled)
    if "cucim" in readers and jpeg and path.suffix.lower() in CUCIM_SUFFIXES and load_cucim() is not None:
        return _verified_cucim(path, reference) or reference
    return reference


def _verified_tiff(path: Path, directories: Sequence[Directory], reference: OpenSlideReader) -> TiffReader:
    """Our reader when it sees the same levels, and the same px in a tile of each.

    Raises:
        NotTakenError: saying what of the slide it does not read, or where it differs.
    """
    reader = TiffReader(path, directories, reference)
    try:
        for level in range(len(reference.levels)):
            _prove_level(reader, reference, level)
    except BaseException:
        reader.release()
        raise
    return reader


def _prove_level(reader: TiffReader, reference: OpenSlideReader, level: int) -> None:
    complaint = "no tile of it can be read"
    for left, top, across, down in reader.largest_tiles(level, PROBE_TILES):
        width, height = min(PROBE_PIXELS, across), min(PROBE_PIXELS, down)
        probe = (left + (across - width) // 2, top + (down - height) // 2, width, height, level)
        try:
            apart = np.abs(reader.read_region(*probe).astype(int) - reference.read_region(*probe))
        except DataError as error:
            complaint = str(error)
            continue
        same = apart.max() <= reader.tolerance if reference.exact(level) else apart.mean() <= MAX_PROBE_DIFFERENCE
        if not same:
            raise NotTakenError(f"OpenSlide shows other px of level {level}, by up to {apart.max()} grey levels")
        return
    raise NotTakenError(f"level {level} cannot be proven: {complaint}")


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
