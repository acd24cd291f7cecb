"""Pixels come from where the coordinates say, at the scale that was asked, whatever the levels."""

import numpy as np
import pytest
from made_slides import write_tiff
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi import tiles
from pathology.wsi.grid import Grid, make_grid
from pathology.wsi.readers import open_slide
from pathology.wsi.tiles import Run, read_runs, reading_order, split


def seen(tile):
    """Level-0 px of the tile's centre in x and y, and its width, as its own pixels tell (see ``positions``)."""
    # Eight px share a value: their mean position is 3.5 above the first.
    x, y = (tile[..., channel].astype(float) * 8 + 3.5 for channel in (0, 1))
    half = tile.shape[1] // 2
    return np.array([x.mean(), y.mean()]), 2 * (x[:, half:].mean() - x[:, :half].mean())


@pytest.mark.parametrize(
    ("mpp", "downsamples", "level"),
    [
        *[(0.5, (1,), 0), (0.25, (1,), 0), (0.25, (1, 2), 1), (0.46, (1,), 0), (0.499, (1,), 0)],
        *[(0.2525, (1, 4), 0), (0.2525, (1, 2), 1), (0.125, (1, 4), 1)],
    ],
)
def test_every_tile_comes_from_where_its_coordinates_say(tmp_path, positions, mpp, downsamples, level):
    path = tmp_path / "positions.tif"
    write_tiff(path, positions, downsamples)
    slide = open_slide(path, readers=["openslide"])
    grid = make_grid(slide, mpp, np.ones((160, 200), bool), 10.0, Tiling())
    assert grid.level == level and len(grid) > 0
    side = 224 * 0.5 / mpp
    read = dict(pair for run in read_runs(slide, grid, 8) for pair in zip(run.indices, run.tiles, strict=True))
    for index, corner in enumerate(grid.coords):
        tile = read[index]
        assert tile.shape == (224, 224, 3) and tile.dtype == np.uint8
        centre, width = seen(tile)
        assert np.abs(centre - (corner + (side - 1) / 2)).max() <= 0.5
        assert abs(width - side) <= 1.0
    slide.close()


def test_a_level_that_is_enlarged_a_little_comes_from_its_place_too(tmp_path):
    """0.504 µm/px for tiles at 0.5. Samples 4 px apart would tell their mean position badly by values in steps of 8 px: here each px of
    the level has its own position, counted modulo 248."""
    y, x = np.mgrid[:1600, :2000] // 4 * 4 % 248
    write_tiff(tmp_path / "positions.tif", np.stack([x, y, np.full_like(x, 200)], axis=-1).astype(np.uint8), (1, 2, 4))
    slide = open_slide(tmp_path / "positions.tif", readers=["openslide"])
    grid = make_grid(slide, 0.126, np.ones((160, 200), bool), 10.0, Tiling())
    assert grid.level == 2 and len(grid) > 0
    inside = (np.arange(224) + 0.5) * grid.side_level0 / 224 - 0.5 - 1.5  # a px of the level says its first of 4
    for run in read_runs(slide, grid, 8):
        for index, tile in zip(run.indices, run.tiles, strict=True):
            for channel, axis in ((0, 1), (1, 0)):
                line = tile[..., channel].astype(float).mean(axis=1 - axis)
                position = grid.coords[index][channel] + inside
                whole = (position % 248 > 8) & (position % 248 < 236)  # not where the count begins again
                assert whole.sum() > 150
                assert np.abs((line - position % 248)[whole].mean()) <= 0.5
                assert np.abs((line - position % 248)[whole]).max() <= 1.0
    slide.close()


def test_neighbours_are_read_at_once_and_none_far_ahead(svs):
    slide = open_slide(svs, readers=["openslide"])
    grid = make_grid(slide, 0.5, np.ones((200, 200), bool), 10.0, Tiling())
    asked = []
    read = slide.read_region
    slide.read_region = lambda *region: asked.append(region) or read(*region)
    columns = len(set(grid.level_coords[:, 0]))
    runs = read_runs(slide, grid, columns)
    first = next(runs)
    assert len(first.indices) == -(-columns // 2), "half a row for each of two threads"
    assert np.array_equal(first.tiles[0], read(int(grid.level_coords[0][0]), int(grid.level_coords[0][1]), 224, 224, 0))
    assert len(asked) <= 3
    runs.close()
    assert len(asked) <= 3


def test_every_tile_is_read_once_whatever_is_missing_between(monkeypatch):
    """Gaps end a run, and so do its greatest length and the edge of a band."""
    monkeypatch.setattr(tiles, "MAX_RUN_PIXELS", 3 * 224**2)
    monkeypatch.setattr(tiles, "BAND", 2240)
    x, y = (axis.ravel() * 224 for axis in np.meshgrid(np.arange(25), np.arange(4)))
    keep = np.random.default_rng(0).random(100) > 0.3
    corners = np.stack([x, y], axis=1)[keep]
    grid = Grid(corners, corners, np.ones(len(corners), np.float32), 0, 224.0, 224.0, 224, len(corners))
    order = reading_order(grid)
    runs = [run for part in order for run in split(part, grid.side, 1, len(grid))]
    assert sorted(np.concatenate(runs)) == list(range(len(grid)))
    for threads, ahead in ((2, 8), (3, 64), (15, 256)):
        other = [run for part in order for run in split(part, grid.side, threads, ahead)]
        assert np.array_equal(np.concatenate(other), np.concatenate(runs)), "the order has nothing to do with the threads"
    for run in runs:
        assert 1 <= len(run) <= 3
        assert len(set(corners[run, 1])) == 1
        assert (np.diff(corners[run, 0]) == 224).all()
        assert len(set(corners[run, 0] // 2240)) == 1
    starts = [corners[run[0], 0] // 2240 for run in runs]
    assert starts == sorted(starts), "a band is finished before the next one begins"


class Damaged:
    """A slide whose px tell where they are, but for one spot that cannot be decoded and one that is black."""

    keeps_tiles = False

    def read_region(self, x, y, width, height, level):
        if x <= 500 < x + width and y < 224:
            raise DataError("cannot be decoded")
        region = np.full((height, width, 3), 7, np.uint8)
        region[:, max(0, 896 - x) : max(0, 1120 - x)] = 0
        return region


def test_all_threads_have_work_within_what_is_read_ahead():
    """A row of 146 tiles in runs of 41 at most would give a batch of 32, and 64 tiles ahead, one thread's work."""
    for threads in (1, 2, 4, 8):
        runs = split(np.arange(146), 224.0, threads, 64)
        assert max(map(len, runs)) * threads <= 64
    assert max(map(len, split(np.arange(146), 224.0, 16, 64))) == 4, "less than that is not worth a run of its own"


def test_of_a_run_with_a_bad_tile_the_others_are_kept():
    corners = np.stack([np.arange(6) * 224, np.zeros(6, np.int64)], axis=1)
    grid = Grid(corners, corners, np.ones(6, np.float32), 0, 224.0, 224.0, 224, 6)
    runs = list(read_runs(Damaged(), grid, 64))
    run = Run(*(np.concatenate([getattr(run, name) for run in runs]) for name in ("indices", "tiles", "good")))
    assert run.good.tolist() == [True, True, False, True, False, True]
    assert (run.tiles[run.good] == 7).all()
