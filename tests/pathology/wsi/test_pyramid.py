"""Levels whose sizes mislead: tiles lie where the tissue is, whatever a writer did to the pyramid."""

import cv2
import numpy as np
import pytest
import tifffile
from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.pyramid import candidates, sizes_tell
from pathology.wsi.readers import open_slide

from benchmarks.slides import texture
from tests.pathology.wsi.cucim_views import planned

WIDTH, HEIGHT, TILE = 2900, 3000, 256
TISSUE = (1344, 2688)
"""From and to in x and y: six tiles of 224 px, three of 448."""


@pytest.fixture(scope="session")
def corner():
    """Tissue in the lower right of glass."""
    pixels = np.full((HEIGHT, WIDTH, 3), 243, np.uint8)
    side = TISSUE[1] - TISSUE[0]
    pixels[TISSUE[0] : TISSUE[1], TISSUE[0] : TISSUE[1]] = texture(side, 1)
    return pixels


def smaller(pixels, factor):
    size = (pixels.shape[1] // factor, pixels.shape[0] // factor)
    return cv2.resize(pixels[: size[1] * factor, : size[0] * factor], size, interpolation=cv2.INTER_AREA)


def every_nth(pixels, factor):
    return np.ascontiguousarray(pixels[::factor, ::factor])


def padded(level, tile=TILE, value=255):
    """Whole tiles."""
    height, width = (-(-side // tile) * tile for side in level.shape[:2])
    whole = np.full((height, width, 3), value, np.uint8)
    whole[: level.shape[0], : level.shape[1]] = level
    return whole


def write(path, levels, mpp):
    with tifffile.TiffWriter(path) as tiff:
        for number, level in enumerate(levels):
            tiff.write(
                level, tile=(TILE, TILE), photometric="rgb", compression="jpeg", compressionargs={"level": 85},
                subfiletype=min(number, 1), metadata=None, resolution=(10000 / mpp, 10000 / mpp), resolutionunit="CENTIMETER",
            )  # fmt: skip


def expected(mpp):
    """Corners of the tiles on the tissue, at 0.5 µm/px."""
    side = round(224 * 0.5 / mpp)
    starts = range(TISSUE[0], TISSUE[1], side)
    return [[x, y] for y in starts for x in starts]


def thumbnail(pixels):
    """Of another aspect, as some writers add it: squeezed to a square."""
    return cv2.resize(pixels, (512, 512), interpolation=cv2.INTER_AREA)


MADE = {
    "whole tiles": lambda pixels: [padded(smaller(pixels, factor)) for factor in (2, 4, 8)],
    "whole tiles of 512, black": lambda pixels: [padded(smaller(pixels, factor), 512, 0) for factor in (2, 4, 8)],
    "every fourth px, and a thumbnail": lambda pixels: [
        padded(every_nth(pixels, 4)),
        thumbnail(pixels),
        padded(smaller(pixels, 16)),
    ],
    "one level of four that is padded": lambda pixels: [smaller(pixels, 2), padded(smaller(pixels, 4), 512), smaller(pixels, 8)],
}


@pytest.mark.parametrize("mpp", [0.25, 0.5])
@pytest.mark.parametrize("kind", MADE)
def test_tiles_lie_on_the_tissue_whatever_the_levels_sizes(tmp_path, corner, cucim_process, kind, mpp):
    path = tmp_path / "s.tif"
    write(path, [corner, *MADE[kind](corner)], mpp)
    for reader in ("tiff", "cucim", "openslide"):
        seen = cucim_process(planned, path, reader)
        assert seen["coords"] == expected(mpp), (seen["name"], seen["levels"])
        assert "padded" in " ".join(seen["warnings"])
        assert ("(512 × 512 px) is not read" in " ".join(seen["warnings"])) == ("thumbnail" in kind)
        assert all(level[0] * level[2] <= WIDTH and level[1] * level[2] <= HEIGHT for level in seen["levels"])


def test_sizes_that_are_quotients_are_read_without_a_word(tmp_path, corner):
    path = tmp_path / "s.tif"
    write(path, [corner, smaller(corner, 3), smaller(corner, 7)], 0.5)
    slide = open_slide(path, readers=["openslide"])
    assert [level.downsample for level in slide.levels] == [1, 3, 7] and slide.remarks == ()


def test_a_picture_of_something_else_with_the_right_size_is_not_read(tmp_path, corner):
    path = tmp_path / "s.tif"
    write(path, [corner, np.ascontiguousarray(smaller(corner, 4)[:, ::-1]), smaller(corner, 8)], 0.5)
    slide = open_slide(path, readers=["openslide"])
    assert [level.downsample for level in slide.levels] == [1, 8]
    assert slide.remarks == ("level 1 of its file (725 × 750 px) is not read: its picture is not that of level 0",)
    coarse = slide.read_region(0, 0, slide.levels[1].width, slide.levels[1].height, 1)
    assert np.abs(coarse.astype(int) - smaller(corner, 8)).mean() < 4, "levels are counted without it"


def test_where_there_is_nothing_to_see_only_sizes_that_tell_are_believed(tmp_path):
    glass = np.full((2010, 2010, 3), 243, np.uint8)
    path = tmp_path / "s.tif"
    write(path, [glass, padded(smaller(glass, 4)), smaller(glass, 8)], 0.5)
    slide = open_slide(path, readers=["openslide"])
    assert [level.downsample for level in slide.levels] == [1, 8]
    assert slide.remarks == ("level 1 of its file (512 × 512 px) is not read: nothing to see in it proves its scale",)


@pytest.mark.parametrize(
    "base, size, first",
    [((6000, 6000), (3072, 3072), 1.953125), ((2220, 2967), (555, 741), 4), ((46920, 33013), (2932, 2063), 16), ((1000, 1000), (300, 300), 10 / 3)],
)  # fmt: skip
def test_what_a_size_may_mean(base, size, first):
    assert candidates(base, size)[0] == pytest.approx(first)
    assert (2.0 in candidates(base, size)) == (size[0] == 3072)
    assert sizes_tell(base, size) == (size[0] not in (3072, 300))


def test_another_aspect_means_nothing():
    assert candidates((40000, 20000), (3000, 3000)) == ()


def test_the_case_that_was_shared(shared_data, cucim_process):
    path = shared_data.parent / "cases" / "slides" / "levels-padded-0.5.tif"
    for reader in ("tiff", "cucim", "openslide"):
        seen = cucim_process(planned, path, reader)
        assert [level[2] for level in seen["levels"]] == [1, 2, 4, 8, 16]
        assert len(seen["coords"]) == 100


def test_the_plan_says_it_too(tmp_path, corner):
    path = tmp_path / "s.tif"
    write(path, [corner, padded(smaller(corner, 2))], 0.5)
    assert planned(path, "openslide", Tiling(mpp=1.0))["warnings"] == [
        "its levels are padded: downsamples proven on its pixels are 2 (level 1)"
    ]
