"""Tiles of every codec, as OpenSlide shows them; and what of them is damaged, or not taken."""

import itertools
import struct

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from pathology.contracts.errors import DataError
from pathology.wsi.jpeg_tiles import RGB, YCBCR, JpegTiles
from pathology.wsi.packed_tiles import DEFLATE, LZW, NONE, WEBP, ZSTD
from pathology.wsi.readers import open_slide
from pathology.wsi.tiff import JPEG, Tiles, read_directories
from pathology.wsi.tiff_reader import TiffReader
from pathology.wsi.tile_decoders import tile_decoder
from pathology.wsi.tile_errors import DamagedTileError, NotTakenError

SIDE = 64
PICTURE = np.random.default_rng(0).integers(0, 40, (SIDE, SIDE, 3)).cumsum(axis=1).clip(0, 255).astype(np.uint8)


def tiles(compression, **others):
    """The tags of 64 px tiles in 8 bits RGB, but for ``others``."""
    tags = {
        "offsets": np.zeros(1, np.uint32), "lengths": np.ones(1, np.uint32), "width": SIDE, "height": SIDE,
        "compression": compression, "photometric": RGB, "samples": 3, "bits": (8, 8, 8), "sample_format": (1,),
        "extra_samples": (), "planes": 1, "predictor": 1, "fill_order": 1, "orientation": 1, "tables": b"", "big_endian": False,
    }  # fmt: skip
    return Tiles(**tags | others)


def segments(stream):
    """The segments of a JPEG stream up to its scan: marker and bytes of each; and the rest."""
    found, position = [], 2
    while True:
        end = position + 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
        if stream[position + 1] == 0xDA:
            return found, stream[position:]
        found.append((stream[position + 1], stream[position:end]))
        position = end


MARKERS = {
    "none": b"",
    "jfif": b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
    "adobe rgb": b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00",
    "adobe ycbcr": b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01",
}


def jpeg(subsampling, marker, *, shared):
    """A stream that says ``marker`` of its colours, and the tables that it shares, if it does."""
    found, scan = segments(bytes(imagecodecs.jpeg8_encode(PICTURE, level=85, subsampling=subsampling)))
    tables = b"".join(part for kind, part in found if kind in {0xDB, 0xC4})
    frame = b"".join(part for kind, part in found if kind in {0xC0, 0xC1, 0xC2})
    stream = b"\xff\xd8" + MARKERS[marker] + (b"" if shared else tables) + frame + scan
    return stream, b"\xff\xd8" + MARKERS[marker] + tables + b"\xff\xd9" if shared else b""


def write_tiff(path, tile, tags):
    """A TIFF of one tile with these bytes: ``tags`` by number, each (type, values)."""
    places, content = [], b""
    end = 8 + 2 + 12 * (len(tags) + 2) + 4
    for number, (kind, values) in sorted((tags | {324: (4, [0]), 325: (4, [len(tile)])}).items()):
        packed = bytes(values) if kind == 7 else struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if number == 324:
            packed = struct.pack("<I", end + sum(len(bytes(v)) if k == 7 else 8 for k, v in tags.values()))
        if len(packed) > 4:
            place, content = struct.pack("<I", end + len(content)), content + packed
        else:
            place = packed.ljust(4, b"\0")
        places.append(struct.pack("<HHI", number, kind, len(values)) + place)
    content = content.ljust(sum(len(bytes(v)) if k == 7 else 8 for k, v in tags.values()), b"\0")
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(places)) + b"".join(places) + bytes(4) + content + tile)


@pytest.mark.parametrize(
    ("photometric", "marker", "subsampling", "shared"),
    list(itertools.product([RGB, YCBCR], MARKERS, ["444", "422", "420"], [False, True])),
)
def test_a_jpeg_has_the_colours_that_its_tiff_says(tmp_path, photometric, marker, subsampling, shared):
    stream, tables = jpeg(subsampling, marker, shared=shared)
    tags = {256: (3, [SIDE]), 257: (3, [SIDE]), 258: (3, [8, 8, 8]), 259: (3, [JPEG]), 262: (3, [photometric]), 277: (3, [3])}
    tags |= {322: (3, [SIDE]), 323: (3, [SIDE])} | ({347: (7, tables)} if shared else {})
    tags |= {530: (3, {"444": [1, 1], "422": [2, 1], "420": [2, 2]}[subsampling])} if photometric == YCBCR else {}
    path = tmp_path / "one.tif"
    write_tiff(path, stream, tags)
    ours, judge = open_slide(path, readers=["tiff"]), open_slide(path, readers=["openslide"])
    assert ours.name == "tiff"
    pixels = ours.read_region(0, 0, SIDE, SIDE, 0)
    assert np.array_equal(pixels, judge.read_region(0, 0, SIDE, SIDE, 0))
    assert np.array_equal(JpegTiles(tables, photometric, SIDE, SIDE).decode(stream), pixels)
    assert (np.abs(pixels.astype(int) - PICTURE).mean() < 20) == (photometric == YCBCR)


def test_tiles_with_other_headers_in_one_image_are_decoded_each_by_its_own():
    decoder = JpegTiles(b"", YCBCR, SIDE, SIDE)
    for level in (85, 30, 85):
        stream = bytes(imagecodecs.jpeg8_encode(PICTURE, level=level, subsampling="420"))
        assert np.array_equal(decoder.decode(stream), simplejpeg.decode_jpeg(stream))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda stream: stream[:-40] + b"\xff\xd9", "libjpeg"),
        (lambda stream: stream[:-2] + bytes(50) + b"\xff\xd9", "libjpeg: Corrupt JPEG data"),
        (lambda stream: b"\0" + stream[1:], "begin like JPEG"),
        (lambda stream: stream[:100], "broken off"),
        (lambda stream: bytes(imagecodecs.jpeg8_encode(PICTURE[:32])), "64 × 32 px in a tile of 64 × 64"),
    ],
)
def test_what_libjpeg_only_warns_of_is_damage(damage, words):
    stream = bytes(imagecodecs.jpeg8_encode(PICTURE, level=85, subsampling="420"))
    with pytest.raises(DamagedTileError, match=words):
        JpegTiles(b"", YCBCR, SIDE, SIDE).decode(damage(stream))


PACKERS = {
    NONE: bytes,
    LZW: imagecodecs.lzw_encode,
    DEFLATE: imagecodecs.zlib_encode,
    ZSTD: imagecodecs.zstd_encode,
}


@pytest.mark.parametrize("compression", PACKERS)
def test_packed_tiles_are_unpacked_to_their_exact_size(compression):
    pack, decode = PACKERS[compression], tile_decoder(tiles(compression))
    raw = PICTURE.tobytes()
    assert np.array_equal(decode(bytes(pack(raw))), PICTURE)
    for wrong in (raw[:-1], raw + b"\0"):
        with pytest.raises(DamagedTileError):
            decode(bytes(pack(wrong)))


def test_deflates_checksum_is_proven():
    packed = bytearray(imagecodecs.zlib_encode(PICTURE.tobytes()))
    packed[-1] ^= 1
    with pytest.raises(DamagedTileError, match="Deflate"):
        tile_decoder(tiles(DEFLATE))(bytes(packed))


def test_a_webp_tile_has_its_pixels_and_its_size():
    decode = tile_decoder(tiles(WEBP))
    assert np.array_equal(decode(bytes(imagecodecs.webp_encode(PICTURE, lossless=True))), PICTURE)
    for wrong in (bytes(imagecodecs.webp_encode(PICTURE[:32], lossless=True)), b"RIFF" + bytes(40)):
        with pytest.raises(DamagedTileError, match="WebP"):
            decode(wrong)


def ycc(pixels):
    """What a JPEG 2000 of Aperio's codec 33003 holds, by the formula of JFIF."""
    r, g, b = np.moveaxis(pixels.astype(float), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack([y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402], axis=-1).round().clip(0, 255).astype(np.uint8)


def stream_of(pixels):
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True, mct=False))


@pytest.mark.parametrize(
    ("compression", "photometric"), [(33003, RGB), (33003, YCBCR), (33005, RGB), (34712, RGB), (34712, YCBCR)]
)
def test_a_jpeg_2000_has_the_colours_of_its_codec(compression, photometric):
    coded = compression == 33003 or (compression == 34712 and photometric == YCBCR)
    decode = tile_decoder(tiles(compression, photometric=photometric))
    assert np.abs(decode(stream_of(ycc(PICTURE) if coded else PICTURE)).astype(int) - PICTURE).max() <= (2 if coded else 0)


def test_what_openjpeg_only_warns_of_is_damage():
    decode, stream = tile_decoder(tiles(33005)), stream_of(PICTURE)
    for damaged in (stream[:-2] + b"\0\0", stream[: len(stream) // 2], stream[:50], b"\0" + stream[1:], stream_of(PICTURE[:32])):
        with pytest.raises(DamagedTileError):
            decode(damaged)
    assert np.array_equal(decode(stream), PICTURE)
    with pytest.raises(NotTakenError, match="not three"):
        decode(stream_of(PICTURE[..., 0]))


@pytest.mark.parametrize("name", ["plain", "zlib", "lzw", "zstd", "predicted", "big", "sixteen", "alpha", "clear", "jpeg", "ycc"])
def test_every_codec_gives_the_px_of_openslide_to_the_last(tmp_path, name):
    """At a size that no tile divides, with a level of a quarter."""
    picture = np.tile(PICTURE, (5, 6, 1))[:300, :364]
    options = {
        "plain": {}, "zlib": {"compression": "zlib"}, "lzw": {"compression": "lzw"}, "zstd": {"compression": "zstd"},
        "predicted": {"compression": "zlib", "predictor": True}, "big": {"bigtiff": True, "byteorder": ">"},
        "sixteen": {"compression": "zlib"}, "alpha": {"extrasamples": [2]}, "clear": {"extrasamples": [2]},
        "jpeg": {"compression": "jpeg"}, "ycc": {"compression": 33003, "compressionargs": {"codecformat": "j2k", "mct": False}},
    }[name]  # fmt: skip
    path = tmp_path / ("one.svs" if name == "ycc" else "one.tif")
    file = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    with tifffile.TiffWriter(path, **file) as tiff:
        for number, small in enumerate((picture, picture[::4, ::4])):
            level = {"sixteen": small.astype(np.uint16) * 251 + number, "ycc": ycc(small)}.get(name, small)
            if name in {"alpha", "clear"}:
                opaque = np.full_like(level[..., :1], 255)
                opaque[:20, :20] = 255 if name == "alpha" else 0
                level = np.concatenate([level, opaque], axis=-1)
            text = "Aperio Image Library v12 \r\n1x1|AppMag = 20" if name == "ycc" else None
            subfile = number if name != "ycc" else 0
            tiff.write(level, tile=(128, 128), photometric="rgb", metadata=None, description=text, subfiletype=subfile, **options)
    ours, judge = open_slide(path, readers=["tiff"]), open_slide(path, readers=["openslide"])
    assert (ours.name, len(ours.levels)) == ("tiff", 2)
    for number, level in enumerate(judge.levels):
        whole = (0, 0, level.width, level.height, number)
        apart = np.abs(ours.read_region(*whole).astype(int) - judge.read_region(*whole))
        assert apart.max() <= (1 if name == "ycc" else 0)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"compression": 34925}, "compression 34925"),
        ({"compression": JPEG, "samples": 1, "bits": (8,), "photometric": 1}, "1 samples"),
        ({"compression": DEFLATE, "photometric": YCBCR}, "photometric 6"),
        ({"compression": DEFLATE, "predictor": 3}, "predictor is 3"),
        ({"compression": DEFLATE, "sample_format": (3,)}, "whole numbers"),
        ({"compression": DEFLATE, "samples": 4}, "4 samples"),
        ({"compression": NONE, "planes": 2}, "planes"),
        ({"compression": JPEG, "tables": b"\0\0"}, "tables do not begin"),
    ],
)
def test_what_is_not_taken_says_why(tags, words):
    with pytest.raises(NotTakenError, match=words):
        tile_decoder(tiles(**tags))


def test_a_real_slides_rgb_tiles_with_shared_tables_and_no_marker_are_openslides_to_the_last_px(shared_data):
    path = shared_data / "slides" / "CMU-1-Small-Region.svs"
    ours, judge = open_slide(path), open_slide(path, readers=["openslide"])
    assert ours.name == "tiff" and read_directories(path)[0].tiles.photometric == RGB
    whole = (0, 0, ours.levels[0].width, ours.levels[0].height, 0)
    assert np.array_equal(ours.read_region(*whole), judge.read_region(*whole))


def test_a_tile_that_libjpeg_warns_of_is_refused_though_openslide_shows_it(shared_data):
    path = shared_data.parent / "cases" / "slides" / "jpeg-scan-damaged.svs"
    slide, judge = open_slide(path), open_slide(path, readers=["openslide"])
    refused = []
    for x, y in itertools.product(range(0, 1024, 256), repeat=2):
        judge.read_region(x, y, 256, 256, 0)
        try:
            slide.read_region(x, y, 256, 256, 0)
        except DataError as error:
            refused.append((x, y))
            assert "libjpeg: Corrupt JPEG data" in str(error)
    assert slide.name == "tiff" and refused == [(512, 512)]


def test_a_slide_that_differs_from_openslides_is_openslides(svs, monkeypatch):
    read = TiffReader.read_region
    monkeypatch.setattr(TiffReader, "read_region", lambda self, *region: read(self, *region) ^ 1)
    assert open_slide(svs, readers=["tiff"]).name == "openslide"
