"""OpenSlide, the reader of every vendor's format and the judge of the other readers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.reader import Level, ratio_of_sizes


class OpenSlideReader:
    """OpenSlide: every vendor's format, and an exception for what it cannot decode."""

    name = "openslide"
    keeps_tiles = False

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
        self.levels = tuple(Level(w, h, ratio_of_sizes(sizes[0], (w, h))) for w, h in sizes)
        self._downsamples: tuple[float, ...] = self._slide.level_downsamples
        self.properties: Mapping[str, str] = dict(self._slide.properties)
        self.vendor = str(self.properties.get("openslide.vendor", ""))

    def exact(self, level: int) -> bool:
        """Whether px of a level are shown as they are: at a broken downsample px are blended with their neighbours."""
        return float(self._downsamples[level]).is_integer()

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

    def forget_tiles(self) -> None:
        """OpenSlide's own cache stays, 32 MB at most."""

    def close(self) -> None:
        self._slide.close()
