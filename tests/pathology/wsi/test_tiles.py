"""Pixels come from where the coordinates say, at the scale that was asked, whatever the levels."""

import numpy as np
import pytest
from made_slides import write_tiff
from pathology.contracts.settings import Tiling
from pathology.wsi.grid import make_grid
from pathology.wsi.readers import open_slide
from pathology.wsi.tiles import read_tiles, resample


def seen(tile):
    """Level-0 px of the tile's centre in x and y, and its width, as its own pixels tell (see ``positions``)."""
    # Eight px share a value: their mean place is 3.5 above the first.
    x, y = (tile[..., channel].astype(float) * 8 + 3.5 for channel in (0, 1))
    half = tile.shape[1] // 2
    return np.array([x.mean(), y.mean()]), 2 * (x[:, half:].mean() - x[:, :half].mean())


@pytest.mark.parametrize(
    ("mpp", "downsamples", "level"),
    [(0.5, (1,), 0), (0.25, (1,), 0), (0.25, (1, 2), 1), (0.46, (1,), 0), (0.2525, (1, 4), 0), (0.125, (1, 4), 1)],
)
def test_every_tile_comes_from_where_its_coordinates_say(tmp_path, positions, mpp, downsamples, level):
    path = tmp_path / "positions.tif"
    write_tiff(path, positions, downsamples)
    slide = open_slide(path, cucim=False)
    grid = make_grid(slide, mpp, np.ones((160, 200), bool), 10.0, Tiling())
    assert grid.level == level and len(grid) > 0
    side = 224 * 0.5 / mpp
    for tile, corner in zip(read_tiles(slide, grid, 8), grid.coords, strict=True):
        assert tile.shape == (224, 224, 3) and tile.dtype == np.uint8
        centre, width = seen(tile)
        assert np.abs(centre - (corner + (side - 1) / 2)).max() <= 0.5
        assert abs(width - side) <= 1.0
    slide.close()


@pytest.mark.parametrize("side", [448.0, 243.478, 300.2, 215.4])
def test_resampling_is_exact_for_sides_that_are_not_whole(side):
    whole = int(np.ceil(side))
    ramp = np.repeat(np.linspace(0, 250, whole)[None, :, None], whole, axis=0).repeat(3, axis=2).astype(np.uint8)
    tile = resample(ramp, side, 224)
    assert tile.shape == (224, 224, 3)
    expected = ((np.arange(224) + 0.5) * side / 224 - 0.5) * 250 / (whole - 1)
    assert np.abs(tile[100, :, 0] - expected).max() < 1.5
    assert abs(float((tile[100, :, 0] - expected).mean())) < 0.7  # the ramp itself was floored


def test_tiles_arrive_in_order_and_none_is_read_far_ahead(svs):
    slide = open_slide(svs, cucim=False)
    grid = make_grid(slide, 0.5, np.ones((200, 200), bool), 10.0, Tiling())
    asked = []
    read = slide.read_region
    slide.read_region = lambda *place: asked.append(place) or read(*place)
    tiles = read_tiles(slide, grid, 4)
    first = next(tiles)
    assert len(asked) <= 5
    assert np.array_equal(first, read(int(grid.places[0][0]), int(grid.places[0][1]), 224, 224, 0))
    tiles.close()
    assert len(asked) <= 5
