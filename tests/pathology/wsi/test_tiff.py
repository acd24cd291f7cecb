"""The walk over a TIFF's directories: sizes, resolution, and every tile inside the file."""

import struct

import numpy as np
import pytest
import tifffile
from made_slides import write_tiff
from pathology.contracts.errors import DataError
from pathology.wsi.tiff import is_tiff, read_directories

PIXELS = np.random.default_rng(0).integers(0, 255, (600, 700, 3), np.uint8)


@pytest.fixture
def tiff(tmp_path):
    path = tmp_path / "a.tif"
    write_tiff(path, PIXELS, (1, 2), resolution=(20000, 20000), resolutionunit="CENTIMETER")
    return path


def test_sizes_and_resolution_of_every_level(tiff):
    first, second = read_directories(tiff)
    assert (first.width, first.height, second.width, second.height) == (700, 600, 350, 300)
    assert first.mpp == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(("big", "order"), [(True, "<"), (False, ">"), (True, ">")])
def test_big_and_big_endian_tiffs(tmp_path, big, order):
    path = tmp_path / "b.tif"
    tifffile.imwrite(
        path, PIXELS, tile=(256, 256), bigtiff=big, byteorder=order, photometric="rgb", resolution=(1, 1), resolutionunit=1
    )
    (only,) = read_directories(path)
    assert (only.width, only.height, only.mpp) == (700, 600, None)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.99])
def test_a_truncated_file_is_refused(tiff, fraction):
    content = tiff.read_bytes()
    tiff.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(DataError, match=r"a\.tif: truncated"):
        read_directories(tiff)


def test_a_tile_that_wraps_around_is_outside(tmp_path):
    path = tmp_path / "c.tif"
    tifffile.imwrite(path, PIXELS, tile=(256, 256), bigtiff=True, photometric="rgb")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].tags["TileOffsets"].valueoffset
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, offset, 2**64 - 8)
    path.write_bytes(content)
    with pytest.raises(DataError, match="1 of 9 tiles lie outside"):
        read_directories(path)


def test_a_chain_that_closes_on_itself_ends(tmp_path):
    # One directory at byte 8 with only a width and a height, whose next is itself.
    entries = struct.pack("<HHII", 256, 4, 1, 10) + struct.pack("<HHII", 257, 4, 1, 10)
    path = tmp_path / "d.tif"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 2) + entries + struct.pack("<I", 8))
    with pytest.raises(DataError, match="in a circle"):
        read_directories(path)


def test_what_is_a_tiff_is_told_by_its_first_bytes(tmp_path, tiff):
    page = tmp_path / "page.svs"
    page.write_bytes(b"<html>")
    (tmp_path / "h.ndpi").write_bytes(tiff.read_bytes())
    assert is_tiff(tiff) and not is_tiff(page) and not is_tiff(tmp_path / "h.ndpi")
