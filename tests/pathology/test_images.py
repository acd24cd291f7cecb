"""Pictures as the world sends them: made with Pillow, then broken by hand."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.images import JPEG_MAGIC, MAX_SCANS, PNG_MAGIC, decode_image, resize_square
from PIL import Image, ImageFile


def picture(side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def saved(image, kind="PNG", **options):
    """A picture, or an array of one, as bytes."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    raw = io.BytesIO()
    image.save(raw, kind, **options)
    return raw.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def declared(width, height, depth=8):
    """A PNG that claims a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return PNG_MAGIC + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_png_comes_back_to_the_byte_and_can_be_written_to():
    pixels = picture()
    decoded = decode_image(saved(pixels))
    assert decoded.dtype == np.uint8
    assert decoded.flags.writeable
    np.testing.assert_array_equal(decoded, pixels)


def test_a_width_is_no_height():
    assert decode_image(saved(picture(32)[:20])).shape == (20, 32, 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_is_close(options):
    smooth = np.array(Image.fromarray(picture(4)).resize((64, 64), Image.Resampling.BICUBIC))
    assert np.abs(decode_image(saved(smooth, "JPEG", quality=95, **options)).astype(int) - smooth).mean() < 6


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_grey_becomes_rgb(kind):
    decoded = decode_image(saved(Image.fromarray(picture()).convert("L"), kind))
    assert decoded.shape == (32, 32, 3)
    assert (decoded[..., 0] == decoded[..., 1]).all()
    assert (decoded[..., 0] == decoded[..., 2]).all()


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "LA"])
def test_what_has_colours_becomes_rgb(mode):
    image = Image.fromarray(picture()).convert(mode)
    np.testing.assert_array_equal(decode_image(saved(image)), np.array(image.convert("RGB")))


CMYK = saved(Image.fromarray(picture()).convert("CMYK"), "JPEG")
SEE_THROUGH = saved(np.dstack([picture(), np.full((32, 32), 128, np.uint8)]))
TRANSPARENT_COLOUR = saved(Image.fromarray(picture()).convert("P"), transparency=0)
DEEP = saved(Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32) * 60))
DEEP_RGB = declared(64, 64, depth=16)
FRAMES = [Image.fromarray(picture(seed=seed)) for seed in range(3)]
ANIMATED = saved(FRAMES[0], save_all=True, append_images=FRAMES[1:])
MANY_JPEGS = saved(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:])
NPY = io.BytesIO()
np.save(NPY, np.array([{"a": 1}], dtype=object), allow_pickle=True)
PROGRESSIVE = saved(picture(), "JPEG", progressive=True)
_scan = PROGRESSIVE.rindex(b"\xff\xda")
MANY_SCANS = PROGRESSIVE[:_scan] + PROGRESSIVE[_scan:-2] * (MAX_SCANS + 1) + PROGRESSIVE[-2:]
DAMAGED = bytearray(saved(picture()))
DAMAGED[len(DAMAGED) // 2] ^= 1

BAD = {
    "empty": (b"", "is empty"),
    "text": (b"<svg onload=alert(1)>" * 10, "begins neither as a PNG nor as a JPEG"),
    "gif": (saved(picture(), "GIF"), "begins neither"),
    "tiff": (saved(picture(), "TIFF"), "begins neither"),
    "npy": (NPY.getvalue(), "begins neither"),
    "png's beginning": (PNG_MAGIC, "cut short"),
    "jpeg's beginning": (JPEG_MAGIC, "damaged or cut short"),
    "jpeg called png": (PNG_MAGIC + saved(picture(), "JPEG"), "cut short"),
    "damaged": (bytes(DAMAGED), "a part of the PNG is damaged"),
    "no header": (PNG_MAGIC + chunk(b"IEND", b""), "does not begin with its header"),
    "bomb": (declared(100_000, 100_000), "declares 100000 × 100000 px"),
    "long bomb": (declared(2**31 - 1, 9), "declares 2147483647 × 9 px"),
    "large jpeg": (saved(Image.new("L", (6_000, 6_000)), "JPEG"), "declares 6000 × 6000 px"),
    "jpeg bomb": (saved(Image.new("L", (16_000, 16_000)), "JPEG"), "declares more than the 16,777,216 px"),
    "fewer pixels than declared": (declared(64, 64), "damaged or cut short"),
    "one pixel": (saved(picture(1)), "is 1 × 1 px"),
    "a line": (saved(picture(64)[:7], "JPEG"), "is 64 × 7 px"),
    "cmyk": (CMYK, "has colour mode CMYK"),
    "16 bit grey": (DEEP, "has 16 bits a channel"),
    "16 bit rgb": (DEEP_RGB, "has 16 bits a channel"),
    "animated": (ANIMATED, "is an animated PNG"),
    "several": (MANY_JPEGS, "holds several pictures"),
    "alpha": (SEE_THROUGH, "has transparent pixels"),
    "transparent colour": (TRANSPARENT_COLOUR, "has transparent pixels"),
    "many scans": (MANY_SCANS, "a JPEG of"),
}


DECODED = {"fewer pixels than declared", "alpha", "transparent colour"}
"""Those of a few px that only their pixels give away."""


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused_in_one_line_before_it_is_decoded_and_without_memory(name, monkeypatch):
    content, message = BAD[name]
    load, decoded = ImageFile.ImageFile.load, []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: decoded.append(image.size) or load(image))
    Image.init()
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="^patch 7: ") as caught:
            decode_image(content, where="patch 7")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert bool(decoded) == (name in DECODED)
    assert peak < 20 * 2**20


def test_no_part_of_a_png_is_a_png():
    whole = saved(picture(16))
    for length in range(len(whole)):
        with pytest.raises(DataError):
            decode_image(whole[:length])


def test_no_part_of_a_jpeg_lacks_pixels():
    whole = saved(picture(16), "JPEG")
    for length in range(len(whole)):
        try:
            decoded = decode_image(whole[:length])
        except DataError:
            continue
        np.testing.assert_array_equal(decoded, decode_image(whole))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_with_any_byte_changed_there_is_a_picture_or_a_line(kind):
    whole = saved(picture(16), kind)
    generator = np.random.default_rng(0)
    for _ in range(500):
        broken = bytearray(whole)
        for position in generator.integers(0, len(whole), 3):
            broken[position] = generator.integers(256)
        try:
            assert decode_image(bytes(broken)).ndim == 3
        except DataError as error:
            assert "\n" not in str(error)


def test_the_limit_on_pixels_is_the_callers():
    assert decode_image(saved(picture(32)), max_pixels=32 * 32).shape == (32, 32, 3)
    with pytest.raises(DataError, match="at most 1,023 in all"):
        decode_image(saved(picture(32)), max_pixels=32 * 32 - 1)


def test_a_square_that_fits_is_left_alone():
    pixels = picture(24)
    assert resize_square(pixels, 24) is pixels


def test_it_shrinks_by_area_and_grows_smoothly():
    pixels = picture(32)
    by_area = pixels.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(resize_square(pixels, 16) - by_area).max() <= 1
    flat = np.full((10, 10, 3), 77, np.uint8)
    np.testing.assert_array_equal(resize_square(flat, 224), np.full((224, 224, 3), 77, np.uint8))


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (np.zeros((20, 30, 3), np.uint8), "is 30 × 20 px and not square"),
        (np.zeros((20, 20), np.uint8), "has shape"),
        (np.zeros((20, 20, 4), np.uint8), "has shape"),
        (np.zeros((20, 20, 3), np.float32), "of float32"),
    ],
)
def test_what_is_not_a_square_patch_is_refused(patch, message):
    with pytest.raises(DataError, match=message):
        resize_square(patch, 20)
