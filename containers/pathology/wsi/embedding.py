"""From the grid to its features: batches are filled while the one before is embedded, and never mix slides."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import numpy as np
from tqdm import tqdm

from pathology.colours import ColourSums
from pathology.wsi.grid import Grid
from pathology.wsi.reader import SlideReader
from pathology.wsi.reader_threads import ReaderThreads
from pathology.wsi.tiles import Run, read_runs


class Embeds(Protocol):
    """What turns tiles into features; see ``pathology.encoders.encoder.Encoder``."""

    @property
    def dimension(self) -> int:
        """D."""

    def batch(self, wanted: int) -> int:
        """Tiles of one batch: ``wanted``, or by the device where that is 0."""

    def embed(self, tiles: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) uint8 → (B, D) float16."""


Progress = Callable[[int, int], None]
"""Told of tiles embedded, and of all."""
COLOUR_STEP = 4
"""Every so manieth row and column of a tile are looked at for a slide's colours: 1/16 of its pixels."""


@dataclass(frozen=True)
class Embedded:
    """``features`` (M, D) float16 of the tiles ``good`` (M,) int64, in the grid's order; ``seconds`` in all, of which the
    encoder stalled for ``tile_stall_seconds`` on tiles. ``colours`` are those of the good tiles' every 4th row and column."""

    features: np.ndarray
    good: np.ndarray
    seconds: float
    tile_stall_seconds: float
    colours: ColourSums


def embed_grid(
    slide: SlideReader,
    grid: Grid,
    encoder: Embeds,
    batch_size: int = 0,
    progress: Progress | None = None,
    threads: ReaderThreads | None = None,
) -> Embedded:
    """Embed every tile of the grid that can be decoded.

    Tiles come in the order in which they are read best, batch after batch; which tiles share a batch depends on the grid and
    on what can be decoded, on nothing else, so that the bytes do not depend on what runs beside or before. Memory is the
    features, the batch in progress, the next one, and as many tiles read ahead as two batches hold, and a region a thread.
    ``threads`` are told how long the encoder waited, but for the first batch, which nothing could be read ahead of.
    """
    threads = threads or ReaderThreads()
    begun, stall_seconds = time.perf_counter(), 0.0
    size = min(encoder.batch(batch_size), max(1, len(grid)))
    features = np.empty((len(grid), encoder.dimension), np.float16)
    done = np.zeros(len(grid), bool)
    colours = ColourSums()
    # Closed here, whatever happens: no thread may still read when the caller closes the slide.
    with (
        closing(read_runs(slide, grid, 2 * size, threads)) as runs,
        _progress(len(grid)) as bar,
        ThreadPoolExecutor(1, thread_name_prefix="batches") as filler,
    ):
        batches = _coloured(fill(_counted(runs, bar), size, grid.tile_size), colours)
        ahead = filler.submit(next, batches, None)
        began = arrived = 0.0
        for number in count():
            since, began = began, time.perf_counter()
            if number > 1:
                threads.told(arrived - since, began - arrived)
            batch = ahead.result()
            arrived = time.perf_counter()
            stall_seconds += arrived - began
            if batch is None:
                break
            ahead = filler.submit(next, batches, None)
            indices, tiles = batch
            features[indices] = encoder.embed(tiles)
            done[indices] = True
            if progress:
                progress(int(np.count_nonzero(done)), len(grid))
    good = np.flatnonzero(done)
    return Embedded(features[good], good, time.perf_counter() - begun, stall_seconds, colours)


def fill(runs: Iterator[Run], size: int, tile_size: int) -> Generator[tuple[np.ndarray, np.ndarray], None, None]:
    """Full batches, and the rest: the tiles' numbers (B,) and the tiles (B, tile_size, tile_size, 3) uint8, which the
    batch after the next overwrites."""
    buffers = [(np.empty(size, np.int64), np.empty((size, tile_size, tile_size, 3), np.uint8)) for _ in range(2)]
    indices, tiles = buffers[0]
    held = 0
    for run in runs:
        good = np.flatnonzero(run.good)
        while len(good):
            taken, good = good[: size - held], good[size - held :]
            tiles[held : held + len(taken)] = run.tiles[taken]
            indices[held : held + len(taken)] = run.indices[taken]
            held += len(taken)
            if held == size:
                yield indices, tiles
                buffers.reverse()
                indices, tiles = buffers[0]
                held = 0
    if held:
        yield indices[:held], tiles[:held]


def _coloured(batches: Iterator[tuple[np.ndarray, np.ndarray]], colours: ColourSums) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches, their colours summed where they are filled: beside the encoder, not in its way."""
    for indices, tiles in batches:
        colours.add(tiles[:, ::COLOUR_STEP, ::COLOUR_STEP])
        yield indices, tiles


def _progress(tiles: int) -> tqdm[None]:
    """A bar on a terminal, nothing in a log."""
    return tqdm(total=tiles, unit="tile", leave=False, disable=None)


def _counted(runs: Iterator[Run], bar: tqdm[None]) -> Iterator[Run]:
    for run in runs:
        yield run
        bar.update(len(run.indices))
