"""The grid of tiles over a slide's tissue: exact in µm whatever the levels, in level-0 px for everybody else."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import map_coordinates

from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.reader import Level, SlideReader

LEVEL_TOLERANCE = 1.01
"""A level up to 1 % coarser than asked is read rather than one of four times the px: less than the scales' own rounding."""


@dataclass(frozen=True)
class Grid:
    """The tiles of a slide, row by row from the top left.

    ``coords`` (N, 2) int64 are level-0 px x, y of the tiles' corners, ``level_coords`` (N, 2) int64 the same in px of ``level``;
    ``tissue_fraction`` (N,) float32. A tile covers ``side`` × ``side`` px of the level, not always a whole number, and is
    resampled to ``tile_size`` px; ``candidates`` is how many tiles had tissue before sampling.
    """

    coords: np.ndarray
    level_coords: np.ndarray
    tissue_fraction: np.ndarray
    level: int
    side: float
    side_level0: float
    tile_size: int
    candidates: int

    def __len__(self) -> int:
        return len(self.coords)


def choose_level(levels: tuple[Level, ...], slide_mpp: float, mpp: float) -> int:
    """The coarsest level that is still fine enough for ``mpp``; level 0 when none is."""
    return max(i for i, level in enumerate(levels) if i == 0 or level.downsample * slide_mpp <= mpp * LEVEL_TOLERANCE)


def make_grid(slide: SlideReader, slide_mpp: float, tissue: np.ndarray, tissue_downsample: float, tiling: Tiling) -> Grid:
    """Non-overlapping tiles of ``tiling.tile_size`` px at ``tiling.mpp`` with at least ``tiling.min_tissue`` of tissue.

    ``tissue`` (H, W) bool has ``tissue_downsample`` level-0 px per px. Only tiles that lie wholly inside the slide count.
    """
    index = choose_level(slide.levels, slide_mpp, tiling.mpp)
    level = slide.levels[index]
    side = tiling.tile_size * tiling.mpp / (slide_mpp * level.downsample)
    columns, rows = (_starts(length, side) for length in (level.width, level.height))
    level_coords = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    coords = np.rint(level_coords * level.downsample).astype(np.int64)
    side_level0 = side * level.downsample
    fraction = tissue_fractions(tissue, level_coords * level.downsample / tissue_downsample, side_level0 / tissue_downsample)
    chosen = np.flatnonzero((fraction >= tiling.min_tissue) & (fraction > 0))
    candidates = len(chosen)
    if tiling.max_tiles and candidates > tiling.max_tiles:
        generator = np.random.default_rng(tiling.seed)
        chosen = np.sort(generator.choice(chosen, size=tiling.max_tiles, replace=False))
    return Grid(coords[chosen], level_coords[chosen], fraction[chosen], index, side, side_level0, tiling.tile_size, candidates)


def _starts(length: int, side: float) -> np.ndarray:
    """Whole px where tiles of ``side`` px start, so that each ends within ``length``."""
    starts = np.rint(np.arange(int(length / side) + 1) * side).astype(np.int64)
    return np.asarray(starts[starts + whole_side(side) <= length])


def whole_side(side: float) -> int:
    """The px to read for a tile of ``side`` px."""
    return math.ceil(side - 1e-6)


def tissue_fractions(tissue: np.ndarray, corners: np.ndarray, side: float) -> np.ndarray:
    """Fraction of tissue in squares: ``corners`` (N, 2) x, y and ``side`` in px of ``tissue``, fractions of px counted → (N,)."""
    if len(corners) == 0:
        return np.zeros(0, np.float32)
    sums = cv2.integral(np.ascontiguousarray(tissue).view(np.uint8), sdepth=cv2.CV_32S)

    def corner(dx: float, dy: float) -> np.ndarray:
        # Between whole px the sum of a mask is linear in x and y, so interpolating the sums is exact.
        places = [corners[:, 1] + dy, corners[:, 0] + dx]
        return np.asarray(map_coordinates(sums, places, output=np.float64, order=1, mode="nearest"))

    covered = corner(side, side) - corner(0, side) - corner(side, 0) + corner(0, 0)
    return np.clip(covered / side**2, 0, 1).astype(np.float32)
