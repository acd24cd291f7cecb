"""Where tiles lie: row by row, whole, not overlapping, with exact tissue fractions and a seeded sample."""

import numpy as np
import pytest
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.grid import choose_level, make_grid, tissue_fractions, whole_side
from pathology.wsi.reader import Level


class Slide:
    """Sizes alone: a grid reads no pixel."""

    name, mpp = "sizes", None

    def __init__(self, width, height, downsamples=(1,)):
        self.levels = tuple(Level(width // factor, height // factor, float(factor)) for factor in downsamples)


def full(slide):
    base = slide.levels[0]
    return np.ones((base.height // 10, base.width // 10), bool)


@pytest.mark.parametrize("mpp", [0.5, 0.46, 0.499, 0.25, 0.2525])
def test_tiles_are_whole_in_rows_and_do_not_overlap(mpp):
    slide = Slide(2000, 1600)
    grid = make_grid(slide, mpp, full(slide), 10.0, Tiling())
    side = 224 * 0.5 / mpp
    assert len(grid) == int(2000 / side) * int(1600 / side)
    assert grid.coords.dtype == np.int64
    assert np.array_equal(grid.coords, grid.coords[np.lexsort(grid.coords.T)])
    assert (grid.coords.max(axis=0) + whole_side(side) <= (2000, 1600)).all()
    assert np.diff(np.unique(grid.coords[:, 0])).min() >= side - 1


def test_the_coarsest_level_that_is_fine_enough_is_read():
    levels = Slide(8000, 8000, (1, 2, 4, 8)).levels
    assert [choose_level(levels, mpp, 0.5) for mpp in (0.5, 0.25, 0.2502, 0.26, 0.12, 0.52)] == [0, 1, 1, 0, 2, 0]


def test_a_slide_smaller_than_a_tile_has_none():
    slide = Slide(200, 3000)
    assert len(make_grid(slide, 0.5, full(slide), 10.0, Tiling())) == 0


def test_tissue_fractions_count_parts_of_pixels():
    tissue = np.zeros((10, 10), bool)
    tissue[2:5, 3:6] = True
    corners = np.array([[3.0, 2.0], [2.5, 2.0], [0.0, 0.0], [4.5, 3.5]])
    assert tissue_fractions(tissue, corners, 3.0) == pytest.approx([1, 2.5 / 3, 0, (1.5 / 3) ** 2])


def test_tiles_with_too_little_tissue_are_left_out():
    slide = Slide(2240, 2240)
    tissue = np.zeros((224, 224), bool)
    tissue[:, :78] = True  # 780 px: three columns and 108 of the fourth's 224
    for min_tissue, columns in ((0.45, {0, 224, 448, 672}), (0.5, {0, 224, 448})):
        grid = make_grid(slide, 0.5, tissue, 10.0, Tiling(min_tissue=min_tissue))
        assert set(grid.coords[:, 0]) == columns
        assert grid.tissue_fraction.min() == pytest.approx(108 / 224 if min_tissue < 0.5 else 1, abs=1e-5)
    assert len(make_grid(slide, 0.5, np.zeros((224, 224), bool), 10.0, Tiling(min_tissue=0.0))) == 0


def test_the_sample_is_seeded_and_keeps_the_order():
    slide = Slide(4480, 4480)
    grids = [make_grid(slide, 0.5, np.ones((448, 448), bool), 10.0, Tiling(max_tiles=50, seed=s)) for s in (0, 0, 1)]
    assert [len(grid) for grid in grids] == [50, 50, 50] and grids[0].candidates == 400
    assert np.array_equal(grids[0].coords, grids[1].coords)
    assert not np.array_equal(grids[0].coords, grids[2].coords)
    first = grids[0].coords
    assert np.array_equal(first, first[np.lexsort(first.T)])
