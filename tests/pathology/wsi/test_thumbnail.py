"""Thumbnails of about the asked scale, from levels or in blocks, with what cannot be read marked."""

import numpy as np
import pytest
from made_slides import write_tiff
from pathology.contracts.errors import DataError
from pathology.wsi.readers import open_slide
from pathology.wsi.thumbnail import read_thumbnail


@pytest.mark.parametrize(("downsamples", "wanted", "got"), [((1,), 8, 8), ((1, 4), 8.9, 8), ((1, 4), 3.2, 3), ((1,), 0.3, 1)])
def test_pixels_are_the_mean_of_what_they_cover(tmp_path, positions, downsamples, wanted, got):
    path = tmp_path / "p.tif"
    write_tiff(path, positions, downsamples)
    thumbnail = read_thumbnail(open_slide(path, readers=["openslide"]), wanted)
    assert thumbnail.downsample == got
    height, width = 1600 // got, 2000 // got
    assert thumbnail.pixels.shape == (height, width, 3) and not thumbnail.unknown.any()
    whole = positions[: height * got, : width * got].reshape(height, got, width, got, 3).mean(axis=(1, 3))
    assert np.abs(thumbnail.pixels - whole).max() <= 1


def test_a_damaged_tile_is_unknown_and_the_rest_is_seen(garbled):
    path, (x, y) = garbled
    thumbnail = read_thumbnail(open_slide(path, readers=["openslide"]), 3)
    unknown = np.argwhere(thumbnail.unknown) * thumbnail.downsample
    assert len(unknown)
    assert ((unknown >= (y - 64, x - 64)) & (unknown < (y + 304, x + 304))).all()
    assert thumbnail.unknown[(y + 120) // 3, (x + 120) // 3]


def test_a_slide_that_shows_nothing_is_damaged(shared_data):
    with pytest.raises(DataError, match=r"nothing of it can be read: corrupt-tile.svs"):
        read_thumbnail(open_slide(shared_data / "slides" / "corrupt-tile.svs"), 8)
