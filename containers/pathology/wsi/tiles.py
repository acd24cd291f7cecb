"""Tiles as the encoder wants them: neighbours read as one region, ahead of need, by threads, so that nothing is decoded twice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.black import MAX_BLACK_FRACTION, black_pixels
from pathology.wsi.grid import Grid, whole_side
from pathology.wsi.reader import SlideReader
from pathology.wsi.reader_threads import ReaderThreads
from pathology.wsi.tile_store import BAND

MAX_RUN_PIXELS = 2**21
"""px of a level that are read at once, 6 MB: 41 tiles at full scale, 10 from a level twice as fine. Half of it and twice as much
are 10 to 20 % slower (measured)."""

_MIN_SPLIT_TILES = 4
"""Tiles below which a run is not split for another thread."""


@dataclass(frozen=True)
class Run:
    """Tiles that were read together: ``indices`` (n,) their numbers in the grid, ``tiles`` (n, tile_size, tile_size, 3) uint8,
    ``good`` (n,) False for those that could not be decoded, whose pixels mean nothing."""

    indices: np.ndarray
    tiles: np.ndarray
    good: np.ndarray


def reading_order(grid: Grid) -> list[np.ndarray]:
    """The numbers of the grid's tiles in the order in which they are read, neighbours of a row together: each part (n,) int64.

    Bands from left to right, rows from top to bottom in each. The order depends on the grid alone.
    """
    if len(grid) == 0:
        return []
    x, y = grid.level_coords.T
    order = np.lexsort((x, y, x // BAND))
    steps = np.diff(x[order])
    apart = (np.diff(y[order]) != 0) | (np.diff(x[order] // BAND) != 0) | (steps > grid.side + 1)
    return np.split(order, np.flatnonzero(apart) + 1)


def split(part: np.ndarray, side: float, threads: int, ahead: int) -> list[np.ndarray]:
    """``part`` (n,) of :func:`reading_order` in runs, each of which is read at once, such that ``threads`` have work within ``ahead``
    tiles. Only what is read together depends on the threads: the order does not."""
    most = min(MAX_RUN_PIXELS / side**2, max(_MIN_SPLIT_TILES, ahead // threads))
    # As many as threads at least: they work on one row side by side, and the next row finds the TIFF tiles that it shares with this
    # one decoded. A row each, and both would decode what lies between.
    runs = max(-(-len(part) // max(1, int(most))), min(threads, -(-len(part) // _MIN_SPLIT_TILES)))
    return np.array_split(part, runs)


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


def _read(slide: SlideReader, grid: Grid, indices: np.ndarray) -> Run:
    """One run. A region that cannot be decoded is read again tile by tile, so that its good ones are kept."""
    tiles = np.empty((len(indices), grid.tile_size, grid.tile_size, 3), np.uint8)
    good = np.ones(len(indices), bool)
    side = whole_side(grid.side)
    lefts = grid.level_coords[indices, 0]
    left, top = int(lefts[0]), int(grid.level_coords[indices[0], 1])
    try:
        region = slide.read_region(left, top, int(lefts[-1]) + side - left, side, grid.level)
    except DataError:
        if len(indices) == 1:
            return Run(indices, tiles, np.zeros(1, bool))
        alone = [_read(slide, grid, indices[number : number + 1]) for number in range(len(indices))]
        return Run(indices, np.concatenate([run.tiles for run in alone]), np.concatenate([run.good for run in alone]))
    # A tile that is black in part is not a picture, whichever reader decoded it: zeros decode to zeros where nothing is compressed.
    if side == grid.side == grid.tile_size and bool((np.diff(lefts) == side).all()):
        tiles = region.reshape(side, len(indices), side, 3).swapaxes(0, 1)  # as they lie: batches copy them, and once is enough
        black = black_pixels(region) > 0
    else:
        for number, x in enumerate(lefts - left):
            tiles[number] = resample(region[:, x : x + side], grid.side, grid.tile_size)
        black = black_pixels(tiles.reshape(-1, grid.tile_size, 3)) > 0
    if black:
        most = MAX_BLACK_FRACTION * grid.tile_size**2
        good = np.array([black_pixels(pixels) <= most for pixels in tiles])
    return Run(indices, tiles, good)


def read_runs(slide: SlideReader, grid: Grid, ahead: int, threads: ReaderThreads | None = None) -> Generator[Run, None, None]:
    """Every tile of the grid once, in :func:`reading_order`; at most ``ahead`` tiles, or one run, wait in memory, however many
    ``threads`` there are, of which each has one region besides."""
    threads = threads or ReaderThreads()
    waiting: deque[Future[Run]] = deque()
    stopped = threading.Event()
    held = 0

    def read(indices: np.ndarray) -> Run:
        with threads.turn(stopped) as wanted:
            if not wanted:
                raise CancelledError
            return _read(slide, grid, indices)

    with ThreadPoolExecutor(threads.most, thread_name_prefix="tiles") as pool:
        try:
            for part in reading_order(grid):
                for indices in split(part, grid.side, threads.number, ahead):
                    while waiting and held + len(indices) > ahead:
                        run = waiting.popleft().result()
                        held -= len(run.indices)
                        yield run
                    waiting.append(pool.submit(read, indices))
                    held += len(indices)
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            threads.stop(stopped)
