"""A small picture of a slide, read in bounded blocks whatever the slide's size and levels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.reader import SlideReader

BLOCK = 1024
"""Side in px of the level that is read at once: 3 MB."""

MIN_BLOCK = 64
"""Blocks are quartered down to this side before they count as unreadable."""

MAX_FAILURES = 2000
"""Blocks that cannot be read before the rest of the slide is not asked for: each costs an error, and a file opened again."""

MAX_SIDE = 3072
"""Longest side of a thumbnail in px (28 MB, and five times that while tissue is looked for): larger slides get a coarser one,
8 µm/px for one of 25 mm."""


@dataclass(frozen=True)
class Thumbnail:
    """``pixels`` (H, W, 3) uint8 of ``downsample`` level-0 px each; ``unknown`` (H, W) bool where nothing could be read."""

    pixels: np.ndarray
    unknown: np.ndarray
    downsample: float


def read_thumbnail(slide: SlideReader, downsample: float) -> Thumbnail:
    """About ``downsample`` level-0 px per px: the coarsest level that is fine enough, averaged over whole px of it.

    Raises:
        DataError: when nothing of the slide can be read.
    """
    base = slide.levels[0]
    downsample = max(downsample, 1.0, max(base.width, base.height) / MAX_SIDE)
    index = max(i for i, level in enumerate(slide.levels) if i == 0 or level.downsample <= downsample)
    level = slide.levels[index]
    factor = min(max(1, int(downsample / level.downsample + 1e-6)), level.width, level.height)
    # A level a little coarser than the side allows would round the factor down: bound the side, not the wish.
    while max(level.width, level.height) // factor > MAX_SIDE:
        factor += 1
    width, height = level.width // factor, level.height // factor
    canvas = _Canvas(slide, index, factor, width, height)
    step = max(1, BLOCK // factor)
    for top in range(0, height, step):
        for left in range(0, width, step):
            canvas.fill(left, top, min(step, width - left), min(step, height - top))
    if canvas.unknown.all():
        raise DataError(f"damaged, nothing of it can be read: {canvas.reason}")
    return Thumbnail(canvas.pixels, canvas.unknown, factor * level.downsample)


class _Canvas:
    """A thumbnail being filled from one level, ``factor`` px of it to one of its own."""

    def __init__(self, slide: SlideReader, level: int, factor: int, width: int, height: int) -> None:
        self.slide, self.level, self.factor = slide, level, factor
        self.pixels = np.full((height, width, 3), 255, np.uint8)
        self.unknown = np.zeros((height, width), bool)
        self.reason = ""
        self.failures = 0

    def fill(self, left: int, top: int, width: int, height: int) -> None:
        """Read one block, given in px of the thumbnail; quarter it where it cannot be decoded: one bad tile hides little."""
        if self.failures > MAX_FAILURES:
            self.unknown[top : top + height, left : left + width] = True
            return
        window, factor = np.s_[top : top + height, left : left + width], self.factor
        try:
            block = self.slide.read_region(left * factor, top * factor, width * factor, height * factor, self.level)
        except DataError as error:
            if max(width, height) * factor <= MIN_BLOCK or max(width, height) == 1:
                self.unknown[window] = True
                self.failures += 1
                self.reason = self.reason or str(error)
                return
            first_width, first_height = (width + 1) // 2, (height + 1) // 2
            for x, w in ((left, first_width), (left + first_width, width - first_width)):
                for y, h in ((top, first_height), (top + first_height, height - first_height)):
                    if w and h:
                        self.fill(x, y, w, h)
            return
        self.pixels[window] = cv2.resize(block, (width, height), interpolation=cv2.INTER_AREA)
