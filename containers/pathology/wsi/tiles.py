"""Tiles as the encoder wants them: neighbours read as one region, ahead of need, by threads, so that nothing is decoded twice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.black import MAX_BLACK_FRACTION, black_pixels
from pathology.wsi.grid import Grid, whole_side
from pathology.wsi.reader import SlideReader
from pathology.wsi.reader_threads import ReaderThreads
from pathology.wsi.resampling import resample
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


def _read(slide: SlideReader, grid: Grid, indices: np.ndarray) -> Run:
    """One run."""
    side = whole_side(grid.side)
    at_scale = side == grid.side == grid.tile_size and bool((np.diff(grid.level_coords[indices, 0]) == side).all())
    if slide.keeps_tiles and not at_scale:
        return _read_one_by_one(slide, grid, indices)
    lefts = grid.level_coords[indices, 0]
    left, top = int(lefts[0]), int(grid.level_coords[indices[0], 1])
    try:
        region = slide.read_region(left, top, int(lefts[-1]) + side - left, side, grid.level)
    except DataError:
        return _read_one_by_one(slide, grid, indices)
    if at_scale:
        tiles = region.reshape(side, len(indices), side, 3).swapaxes(0, 1)  # as they lie: batches copy them, and once is enough
        return Run(indices, tiles, _whole_pictures(region, tiles))
    tiles = np.stack([resample(region[:, x : x + side], grid.side, grid.tile_size) for x in (lefts - left).tolist()])
    return Run(indices, tiles, _whole_pictures(tiles.reshape(-1, grid.tile_size, 3), tiles))


def _read_one_by_one(slide: SlideReader, grid: Grid, indices: np.ndarray) -> Run:
    """One run, of which those tiles are good that can be decoded. Where what lies between tiles is not decoded twice this is
    faster than a region of all: each is made smaller while it is in the processor's cache (40×: by a tenth, measured)."""
    tiles = np.zeros((len(indices), grid.tile_size, grid.tile_size, 3), np.uint8)
    decoded = np.ones(len(indices), bool)
    side = whole_side(grid.side)
    for number, (left, top) in enumerate(grid.level_coords[indices].tolist()):
        try:
            region = slide.read_region(left, top, side, side, grid.level)
        except DataError:
            decoded[number] = False
            continue
        tiles[number] = resample(region, grid.side, grid.tile_size)
    return Run(indices, tiles, decoded & _whole_pictures(tiles.reshape(-1, grid.tile_size, 3), tiles))


def _whole_pictures(pixels: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """Of ``tiles`` (n, S, S, 3), whose px are ``pixels`` (H, W, 3), which (n,) are pictures. One that is black in part is none, whichever
    reader decoded it: zeros decode to zeros where nothing is compressed."""
    if black_pixels(pixels) == 0:
        return np.ones(len(tiles), bool)
    most = MAX_BLACK_FRACTION * tiles.shape[1] * tiles.shape[2]
    return np.array([black_pixels(tile) <= most for tile in tiles])


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
