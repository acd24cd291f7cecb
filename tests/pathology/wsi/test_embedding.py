"""Batches: every good tile once, features in the grid's order, the same whatever waits for what."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.wsi import embedding
from pathology.wsi.embedding import embed_grid, fill
from pathology.wsi.grid import Grid
from pathology.wsi.tiles import Run

from tests.waiting import MAX_WAIT_SECONDS


def grid_of(columns, rows, side=224.0):
    x, y = (axis.ravel() * int(side) for axis in np.meshgrid(np.arange(columns), np.arange(rows)))
    corners = np.stack([x, y], axis=1)
    return Grid(corners, corners, np.ones(len(corners), np.float32), 0, side, side, 224, len(corners))


class Numbered:
    """A slide whose px are the column and row of their tile; some tiles cannot be decoded."""

    keeps_tiles = False

    def __init__(self, damaged=()):
        self.damaged = set(damaged)

    def read_region(self, x, y, width, height, level):
        columns = range(x // 224, -(-(x + width) // 224))
        if self.damaged & {(column, y // 224) for column in columns}:
            raise DataError("damaged")
        region = np.empty((height, width, 3), np.uint8)
        region[..., 0] = (np.arange(width) + x) // 224 + 1
        region[..., 1] = y // 224 + 1
        region[..., 2] = 9
        return region


class Corners:
    """An embedding that is the tile's first px; it keeps the sizes of its ``batches``."""

    dimension = 3

    def __init__(self, size=7):
        self.size, self.batches = size, []

    def batch(self, wanted):
        return wanted or self.size

    def embed(self, tiles):
        self.batches.append(len(tiles))
        return tiles[:, 0, 0].astype(np.float16)


def test_features_are_in_the_grids_order_whatever_the_batches():
    grid = grid_of(9, 5)
    damaged = [(3, 0), (0, 2), (8, 4)]
    for size in (1, 7, 64):
        encoder = Corners(size)
        embedded = embed_grid(Numbered(damaged), grid, encoder)
        expected = [(x // 224 + 1, y // 224 + 1, 9) for x, y in grid.level_coords if (x // 224, y // 224) not in damaged]
        assert embedded.features.tolist() == [list(row) for row in expected]
        assert embedded.features.dtype == np.float16
        assert [tuple(grid.level_coords[index] // 224) for index in embedded.good] == [(x - 1, y - 1) for x, y, _ in expected]
        assert sum(encoder.batches) == 42
        assert set(encoder.batches[:-1]) <= {size}


class Clock:
    """Seconds that pass only when somebody says so; ``told`` is called whenever somebody looks."""

    def __init__(self, monkeypatch, told=lambda looks: None):
        self.now, self.looks, self.told = 0.0, 0, told
        monkeypatch.setattr(embedding, "time", SimpleNamespace(perf_counter=self.look))

    def look(self):
        self.looks += 1
        self.told(self.looks)
        return self.now


def test_what_reading_takes_while_the_encoder_waits_is_counted(monkeypatch):
    may_read = threading.Condition()
    waiting = [False]

    def told(looks):
        """The first look is the beginning, every other one before waiting, the next after it."""
        with may_read:
            waiting[0] = looks % 2 == 0
            may_read.notify_all()

    class Slow(Numbered):
        def read_region(self, *region):
            with may_read:
                assert may_read.wait_for(lambda: waiting[0], MAX_WAIT_SECONDS)
                clock.now += 1
            return super().read_region(*region)

    clock = Clock(monkeypatch, told)
    embedded = embed_grid(Slow(), grid_of(1, 12), Corners(2))
    assert embedded.tile_stall_seconds == clock.now == 12


def test_what_embedding_takes_is_not_counted_as_waiting(monkeypatch):
    class Busy(Corners):
        def embed(self, tiles):
            clock.now += 5
            return super().embed(tiles)

    clock = Clock(monkeypatch)
    embedded = embed_grid(Numbered(), grid_of(1, 12), Busy(2))
    assert (embedded.tile_stall_seconds, embedded.seconds) == (0, 30)


def test_the_next_tiles_are_read_while_a_batch_is_embedded():
    read, more = [], threading.Condition()

    class Told(Numbered):
        def read_region(self, *region):
            with more:
                read.append(region)
                more.notify_all()
            return super().read_region(*region)

    class Waits(Corners):
        def embed(self, tiles):
            features = super().embed(tiles)
            with more:
                assert more.wait_for(lambda: len(read) >= min(12, sum(self.batches) + 2), MAX_WAIT_SECONDS)
            return features

    encoder = Waits(2)
    embed_grid(Told(), grid_of(1, 12), encoder)
    assert encoder.batches == [2] * 6


def test_an_encoder_that_fails_leaves_no_thread_reading():
    class Fails(Corners):
        def embed(self, tiles):
            raise DataError("no")

    with pytest.raises(DataError, match="no"):
        embed_grid(Numbered(), grid_of(50, 20), Fails())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("tiles", "batches"))]


def test_a_batch_is_filled_across_runs_and_the_rest_comes_last():
    tiles = np.zeros((5, 2, 2, 3), np.uint8)
    runs = [Run(np.arange(start, start + 5), tiles + start, np.array([True, True, False, True, True])) for start in (0, 5, 10)]
    batches = [(indices.tolist(), pixels[:, 0, 0, 0].tolist()) for indices, pixels in fill(iter(runs), 5, 2)]
    assert [indices for indices, _ in batches] == [[0, 1, 3, 4, 5], [6, 8, 9, 10, 11], [13, 14]]
    assert batches[1][1] == [5, 5, 5, 10, 10]
