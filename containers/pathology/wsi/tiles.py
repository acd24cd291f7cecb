"""Tiles as the encoder wants them, read ahead by threads and handed over in the grid's order."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.grid import Grid, whole_side
from pathology.wsi.readers import SlideReader

THREADS = 2
"""Readers let go of the interpreter while they decode: two threads keep a GPU of the A10G's class fed (measured)."""


def resample(region: np.ndarray, side: float, tile_size: int) -> np.ndarray:
    """The top left ``side`` × ``side`` px of ``region`` (S, S, 3) uint8, S ≥ side, averaged to (tile_size, tile_size, 3).

    ``side`` need not be whole: the factor is given in place of a size, so the scale is exact and only the rest is cut off.
    Only where ⌈side⌉ px would stay ⌈side⌉ px are they taken as they are: less than half a px off, and not blurred for it.
    """
    if region.shape[0] == tile_size and abs(side - tile_size) < 1e-6:
        return region
    factor = tile_size / side
    resized = cv2.resize(region, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized[:tile_size, :tile_size])


def read_tile(slide: SlideReader, grid: Grid, index: int) -> np.ndarray | None:
    """Tile ``index`` as (tile_size, tile_size, 3) uint8, or None when it cannot be decoded or is black all over."""
    x, y = (int(value) for value in grid.places[index])
    side = whole_side(grid.side)
    try:
        region = slide.read_region(x, y, side, side, grid.level)
    except DataError:
        return None
    return resample(region, grid.side, grid.tile_size) if region.any() else None


def read_tiles(slide: SlideReader, grid: Grid, ahead: int) -> Generator[np.ndarray | None, None, None]:
    """Every tile of the grid in order, at most ``ahead`` of them in memory; None for one that cannot be read."""
    waiting: deque[Future[np.ndarray | None]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="tiles") as pool:
        try:
            for index in range(len(grid)):
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(read_tile, slide, grid, index))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
