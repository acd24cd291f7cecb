"""Batches: every good tile once, features in the grid's order, the same whatever waits for what."""

import threading
import time

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.wsi.embedding import embed_grid, fill
from pathology.wsi.grid import Grid
from pathology.wsi.tiles import Run


def grid_of(columns, rows, side=224.0):
    x, y = (axis.ravel() * int(side) for axis in np.meshgrid(np.arange(columns), np.arange(rows)))
    places = np.stack([x, y], axis=1)
    return Grid(places, places, np.ones(len(places), np.float32), 0, side, side, 224, len(places))


class Numbered:
    """A slide whose px are the column and row of their tile; some tiles cannot be decoded."""

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
    """An embedding that is the tile's first px; ``most`` counts the batches."""

    dimension = 3

    def __init__(self, size=7, pause=0.0):
        self.size, self.pause, self.batches = size, pause, []

    def batch(self, wanted):
        return wanted or self.size

    def embed(self, tiles):
        self.batches.append(len(tiles))
        time.sleep(self.pause)
        return tiles[:, 0, 0].astype(np.float16)


def test_features_stand_in_the_grids_order_whatever_the_batches():
    grid = grid_of(9, 5)
    damaged = [(3, 0), (0, 2), (8, 4)]
    for size in (1, 7, 64):
        encoder = Corners(size)
        found = embed_grid(Numbered(damaged), grid, encoder)
        expected = [(x // 224 + 1, y // 224 + 1, 9) for x, y in grid.places if (x // 224, y // 224) not in damaged]
        assert found.features.tolist() == [list(row) for row in expected]
        assert found.features.dtype == np.float16
        assert [tuple(grid.places[index] // 224) for index in found.good] == [(x - 1, y - 1) for x, y, _ in expected]
        assert sum(encoder.batches) == 42
        assert set(encoder.batches[:-1]) <= {size}


def test_the_encoder_waits_for_slow_reading_and_hardly_for_fast():
    class Slow(Numbered):
        def read_region(self, *place):
            time.sleep(0.05)
            return super().read_region(*place)

    grid = grid_of(1, 12)
    slow = embed_grid(Slow(), grid, Corners(2))
    assert slow.waited > 0.8 * slow.seconds
    busy = embed_grid(Numbered(), grid, Corners(2, pause=0.05))
    assert busy.waited < 0.5 * busy.seconds


def test_an_encoder_that_fails_leaves_no_thread_reading():
    class Fails(Corners):
        def embed(self, tiles):
            raise DataError("no")

    before = threading.active_count()
    with pytest.raises(DataError, match="no"):
        embed_grid(Numbered(), grid_of(50, 20), Fails())
    assert threading.active_count() == before


def test_a_batch_is_filled_across_runs_and_the_rest_comes_last():
    tiles = np.zeros((5, 2, 2, 3), np.uint8)
    runs = [Run(np.arange(start, start + 5), tiles + start, np.array([True, True, False, True, True])) for start in (0, 5, 10)]
    batches = [(indices.tolist(), pixels[:, 0, 0, 0].tolist()) for indices, pixels in fill(iter(runs), 5, 2)]
    assert [indices for indices, _ in batches] == [[0, 1, 3, 4, 5], [6, 8, 9, 10, 11], [13, 14]]
    assert batches[1][1] == [5, 5, 5, 10, 10]
