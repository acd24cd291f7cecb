"""Both readers behind one protocol, and a clear verdict for every file that is not a good slide."""

import json
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import tifffile
from made_slides import write_tiff
from pathology.contracts.errors import DataError
from pathology.wsi.black import MAX_BLACK_FRACTION, MAX_BLACK_PIXELS
from pathology.wsi.cucim_reader import CucimReader, load_cucim
from pathology.wsi.mpp import Scale
from pathology.wsi.pyramid import candidates
from pathology.wsi.reader import Level
from pathology.wsi.readers import open_slide
from pathology.wsi.tile_store import kept_bytes

from demo.slides import TILE, write_svs
from tests.pathology.wsi.cucim_views import both_readers, damaged_tile, decoded_tiles


def test_on_a_real_slide_both_readers_give_the_same_tiles(shared_data, cucim_process):
    seen = cucim_process(both_readers, shared_data / "slides" / "CMU-1-Small-Region.svs")
    assert seen == {"names": ["cucim", "openslide"], "differ": 0, "mpp": 0.499}


def test_on_a_painted_pyramid_both_readers_give_the_same_tiles(svs, cucim_process):
    # Below level 0 OpenSlide takes locations in whole level-0 px, and blends the px beside by that fraction.
    assert cucim_process(both_readers, svs) == {"names": ["cucim", "openslide"], "differ": 0, "mpp": 0.5}


def test_once_torch_is_there_cucim_is_left_alone(svs, monkeypatch):
    """It would never answer. A name is all that is looked at."""
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    monkeypatch.delitem(sys.modules, "cucim.clara", raising=False)
    monkeypatch.setattr("pathology.wsi.readers.load_cucim", load_cucim.__wrapped__)
    assert open_slide(svs, readers=["cucim"]).name == "openslide"


def test_without_cucim_openslide_reads(svs, painted):
    slide = open_slide(svs, readers=["openslide"])
    assert slide.name == "openslide" and slide.mpp == Scale(0.5, "vendor")
    assert [level.downsample for level in slide.levels] == [1, 4]
    region = slide.read_region(300, 200, 250, 100, 0)
    assert region.shape == (100, 250, 3) and region.dtype == np.uint8
    assert np.abs(region.astype(int) - painted[200:300, 300:550]).mean() < 4  # JPEG
    slide.close()


@pytest.mark.parametrize("suffix", ["tif", "svs"])
def test_the_scale_of_resolution_tags_is_the_tiffs(tmp_path, positions, suffix):
    path = tmp_path / f"plain.{suffix}"
    write_tiff(path, positions, resolution=(40000, 40000), resolutionunit="CENTIMETER")
    assert open_slide(path, readers=["openslide"]).mpp == Scale(0.25, "tiff")


def test_a_slide_without_scale_has_none(tmp_path, positions):
    path = tmp_path / "plain.tif"
    write_tiff(path, positions)
    assert open_slide(path, readers=["openslide"]).mpp is None


@pytest.mark.parametrize(
    ("name", "words"),
    [("not-a-tiff.svs", "not a slide format that OpenSlide knows"), ("unopenable.tiff", "compression: 52479")],
)
def test_files_that_are_not_slides_say_so(shared_data, name, words):
    with pytest.raises(DataError, match=f"{name}: .*{words}"):
        open_slide(shared_data / "slides" / name)


def test_a_tile_that_cannot_be_decoded_raises_and_the_next_is_read(shared_data, garbled):
    slide = open_slide(shared_data / "slides" / "corrupt-tile.svs")
    with pytest.raises(DataError, match=r"corrupt-tile.svs: the region at level-0 px 0, 0 of level 0 cannot be decoded"):
        slide.read_region(0, 0, 16, 16, 0)
    path, (x, y) = garbled
    slide = open_slide(path)
    with pytest.raises(DataError, match="cannot be decoded"):
        slide.read_region(x, y, 240, 240, 0)
    assert slide.read_region(x - 240, y, 240, 240, 0).std() > 5


@pytest.mark.parametrize("content", [b"", b"<html>not seen</html>", b"II*\0" + bytes(100)])
def test_what_a_failed_download_leaves_is_refused(tmp_path, content):
    path = tmp_path / "x.svs"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.svs: "):
        open_slide(path)


@pytest.mark.parametrize("fraction", [0.5, 0.99])
def test_half_a_slide_is_refused(svs, fraction):
    content = svs.read_bytes()
    svs.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(DataError, match="truncated"):
        open_slide(svs)


@pytest.mark.parametrize("side", [100, 256])
def test_what_cucim_answers_in_black_is_read_again_by_openslide(side):
    """What is answered for each TIFF tile of a row, and what comes out: 90 is cuCIM's, 200 OpenSlide's."""

    class Reference:
        asked = 0

        def read_region(self, x, y, width, height, level):
            self.asked += 1
            return np.full((height, width, 3), 200, np.uint8)

    def tile(black=0):
        pixels = np.full((side * side, 3), 90, np.uint8)
        pixels[:black] = 0
        return pixels.reshape(side, side, 3)

    limit = min(MAX_BLACK_PIXELS, int(side * side * MAX_BLACK_FRACTION))
    kept = tile(limit).mean()
    for tiles, seen in (
        ([tile()] * 5, [90] * 5),
        ([tile(), tile(limit), tile()], [90, kept, 90]),
        ([tile(), tile(limit + 1), tile()], [90, 200, 90]),
        ([tile(limit), tile(), tile(1)], [200, 90, 200]),  # together they are more than one may have
        ([tile(side * side)] * 3, [200] * 3),
        ([tile()] * 40 + [tile(576)], [90] * 40 + [200]),  # a corner of 24 px, 0.03 % of what was read at once
    ):
        reader = CucimReader.__new__(CucimReader)
        reader._reference_reader, reader.levels, reader._tiles = (
            Reference(),
            (Level(side * len(tiles), side, 1.0),),
            [(side, side)],
        )
        row = np.hstack(tiles)
        reader._cucim_pixels = lambda *region, row=row: row
        strip = reader._decode(0, 0, 0, len(tiles))
        assert [part.mean() for part in np.hsplit(strip.pixels, len(tiles))] == seen
        assert reader._reference_reader.asked == seen.count(200) and not strip.bad


CACHES = """
import os, sys
if sys.argv[2] == "before":
    import cucim
    cucim.CuImage.cache()
from pathology.wsi.cucim_reader import load_cucim
module = load_cucim()
print(os.environ["CUCIM_CONFIG_PATH"] == sys.argv[1], module and module.CuImage.cache().config["type"])
"""


@pytest.mark.parametrize(("first", "cache"), [("after", "nocache"), ("before", None)])
def test_cucims_own_cache_is_never_on(tmp_path, monkeypatch, first, cache, cucim_process):
    """It mixes up slides. Where a process has it on already, OpenSlide reads."""
    config = tmp_path / "cucim.json"
    config.write_text(json.dumps({"cache": {"type": "per_process", "memory_capacity": 64}}))
    monkeypatch.setenv("CUCIM_CONFIG_PATH", str(config))
    done = subprocess.run([sys.executable, "-c", CACHES, str(config), first], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"True {cache}"


@pytest.mark.parametrize("tile", [256, 1024])
def test_every_tiff_tile_is_decoded_once_however_large(tmp_path, painted, tile, cucim_process):
    pixels = np.tile(painted[:1024, :1024], (3, 8, 1))
    with tifffile.TiffWriter(tmp_path / "slide.tif") as tiff:
        tiff.write(pixels, tile=(tile, tile), photometric="rgb", compression="jpeg", resolution=(20000, 20000), resolutionunit=3)
    across, down = -(-pixels.shape[1] // 224) * 224 // tile, -(-pixels.shape[0] // 224) * 224 // tile
    seen = cucim_process(decoded_tiles, tmp_path / "slide.tif")
    assert seen == {"name": "cucim", "lost": 0, "tiles": across * down, "max_times": 1}


def test_what_is_kept_follows_the_tiles_and_is_bounded():
    assert kept_bytes([(256, 256)] * 3) == 3 * 256 * (2**15 + 20_000)
    assert kept_bytes([(512, 512), (256, 256)]) == 2 * kept_bytes([(256, 256)])
    assert kept_bytes([(4096, 4096)]) == 2**28


DAMAGE = {
    "zeroed": lambda part: part[: len(part) // 3] + bytes(len(part) // 3) + part[len(part) // 3 * 2 :],
    "early end": lambda part: part[: len(part) // 2] + b"\xff\xd9" + part[len(part) // 2 + 2 :],
    "random": lambda part: part[: len(part) // 3] + np.random.default_rng(0).bytes(len(part) // 3) + part[len(part) // 3 * 2 :],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_tile_that_cucim_answers_with_some_picture_is_refused_every_time(svs, damage, cucim_process):
    """And what lies beside it is read as it is."""
    with tifffile.TiffFile(svs) as file:
        page = file.pages[0]
        across = -(-page.imagewidth // TILE)
        column, row = across // 2 + 2, page.imagelength // TILE // 2 + 1
        offset, length = (table[row * across + column] for table in (page.dataoffsets, page.databytecounts))
    content = bytearray(svs.read_bytes())
    content[offset : offset + length] = DAMAGE[damage](bytes(content[offset : offset + length]))[:length]
    svs.write_bytes(content)
    seen = cucim_process(damaged_tile, svs, column * TILE, row * TILE)
    assert seen == {"name": "cucim", "refused": [True, True, True], "beside_differs": 0, "silent_without_care": True}


def test_downsamples_are_whole_where_sizes_are_rounded_quotients():
    assert candidates((2220, 2967), (555, 741))[0] == 4.0
    assert candidates((1000, 1000), (300, 300))[0] == pytest.approx(10 / 3)


def test_mpp_text_of_any_value_is_exact(tmp_path, painted):
    path = tmp_path / "m.svs"
    write_svs(path, painted[:600, :600], mpp=0.2525)
    assert open_slide(path, readers=["openslide"]).mpp == Scale(0.2525, "vendor")
