"""What a slide reader is: levels, a scale, and regions of px."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Level:
    """A level of the pyramid: its size in px, and level-0 px per px of it."""

    width: int
    height: int
    downsample: float


class SlideReader(Protocol):
    """What reads a slide's pixels. ``levels`` run from the finest. ``keeps_tiles``: whether the file's tiles are decoded once each, so that
    regions that share them may be read one by one."""

    name: str
    levels: tuple[Level, ...]
    keeps_tiles: bool

    def read_region(self, x: int, y: int, width: int, height: int, level: int) -> np.ndarray:
        """Pixels (height, width, 3) uint8 at ``x``, ``y`` in px *of that level*; glass where the scanner wrote nothing.

        Safe to call from several threads.

        Raises:
            DataError: when the region cannot be decoded.
        """

    def forget_tiles(self) -> None:
        """Let go of decoded tiles that are kept for regions beside them."""

    def close(self) -> None:
        """Let go of the file."""


def ratio_of_sizes(base: tuple[int, int], size: tuple[int, int]) -> float:
    """Level-0 px per px of a level of ``size``, as its size says; whether it is so, :mod:`pathology.wsi.pyramid` proves."""
    return (base[0] / size[0] + base[1] / size[1]) / 2
