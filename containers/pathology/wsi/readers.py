"""Which reader reads a slide: the fastest that proves itself on it, OpenSlide for every other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.cucim_reader import CucimReader, load_cucim
from pathology.wsi.facts import read_facts
from pathology.wsi.flat import FlatReader, is_flat
from pathology.wsi.openslide_reader import OpenSlideReader
from pathology.wsi.pyramid import Slide
from pathology.wsi.reader import SlideReader
from pathology.wsi.tiff import Directory, is_tiff, read_directories

CUCIM_SUFFIXES = frozenset({".svs", ".tif", ".tiff"})
"""cuCIM picks its decoder by the file's name."""

PROBE_PIXELS = 64
MAX_PROBE_DIFFERENCE = 2.0
"""Mean grey levels by which two decoders of one JPEG may differ."""


def open_slide(path: Path, *, cucim: bool = True) -> Slide:
    """Open a slide with the fastest reader that proves itself on it, and prove its levels; ``cucim=False`` keeps to OpenSlide.

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
        facts = read_facts({}, directories)
        return Slide(FlatReader(path, facts.mpp), facts)
    reference = OpenSlideReader(path)
    facts = read_facts(reference.properties, directories)
    reference.mpp = facts.mpp
    return Slide(_reader(path, reference, directories, cucim=cucim), facts)


def _reader(path: Path, reference: OpenSlideReader, directories: list[Directory], *, cucim: bool) -> SlideReader:
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
