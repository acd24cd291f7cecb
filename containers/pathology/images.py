"""One still PNG or JPEG from somebody else to RGB bytes: all that its header says is checked before a pixel is decoded."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from pathology.contracts.errors import DataError

MAX_PIXELS = 4096 * 4096
MIN_SIDE = 8
"""px: anything smaller is a tracking pixel or an accident, and no tissue."""
MAX_SCANS = 64
"""Of a progressive JPEG, where each costs a pass over all pixels and as little as 40 bytes; encoders write about ten."""
STRIP = 2**18
"""px converted at a time: a patch of 224 px, or of 512, goes as one."""
LARGE = 1024 * 1024
"""px: of pictures with more, a process decodes one at a time. While it does it holds some 10 bytes for each pixel of theirs, or 15
for a progressive JPEG's, and as many threads as like may ask."""
_ONE_LARGE = threading.Lock()

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"


def decode_image(content: bytes, *, where: str = "the image", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a PNG or JPEG of 8 bits a channel to (H, W, 3) uint8 RGB; greyscale and palettes become RGB.

    Colour profiles and EXIF orientation are left alone, as the data sets' own readers do.

    Raises:
        DataError: naming ``where``, for anything that is not one whole, still, opaque picture of a sensible size.
    """
    from PIL import Image

    kind = _kind(content, where)
    if kind == "PNG":
        _check_png(content, where, max_pixels)
    elif (scans := content.count(b"\xff\xda")) > MAX_SCANS:
        raise DataError(f"{where}: a JPEG of {scans} scans, and at most {MAX_SCANS} are read: save it as a baseline JPEG")
    try:
        image = Image.open(io.BytesIO(content), formats=(kind,))
        with image:
            _check_size(*image.size, where, max_pixels)
            _check_header(image, kind, where)
            with _ONE_LARGE if image.width * image.height > LARGE else nullcontext():
                image.load()
                return _rgb(image, where)
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):  # a JPEG beyond Pillow's own limit, which is larger
        raise DataError(f"{where}: declares more than the {max_pixels:,} px that are read: cut it into patches") from None
    except Exception as error:  # decoders raise all sorts at bytes made to hurt them: SyntaxError, struct.error, MemoryError, …
        raise DataError(
            f"{where}: is damaged or cut short, or no {kind} at all ({_line(error)}): send the original file"
        ) from None


def resize_square(patch: np.ndarray, side: int, *, where: str = "the patch") -> np.ndarray:
    """A square (S, S, 3) uint8 patch as (side, side, 3): by area when it shrinks, bicubic when it grows, untouched when it fits.

    Raises:
        DataError: when it is not a square RGB patch of 8 bits.
    """
    if patch.ndim != 3 or patch.shape[2] != 3 or patch.dtype != np.uint8:
        raise DataError(f"{where}: has shape {patch.shape} of {patch.dtype}, and not (side, side, 3) of uint8")
    height, width = patch.shape[:2]
    if height != width:
        raise DataError(f"{where}: is {width} × {height} px and not square: cut a square out of it")
    if height == side:
        return patch
    from PIL import Image

    way = Image.Resampling.BOX if height > side else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(patch).resize((side, side), way))


def _kind(content: bytes, where: str) -> str:
    if not content:
        raise DataError(f"{where}: is empty: send a PNG or JPEG")
    if content.startswith(PNG_MAGIC):
        return "PNG"
    if content.startswith(JPEG_MAGIC):
        return "JPEG"
    raise DataError(f"{where}: begins neither as a PNG nor as a JPEG: convert it to one of them")


def _png_chunks(content: bytes, where: str) -> Iterator[tuple[bytes, memoryview]]:
    """Each chunk's name and data, its checksum proven: Pillow does not look at those of the pixels."""
    view, offset = memoryview(content), len(PNG_MAGIC)
    while offset + 12 <= len(view):
        (length,) = struct.unpack_from(">I", view, offset)
        end = offset + 12 + length
        if end > len(view):
            break
        name = bytes(view[offset + 4 : offset + 8])
        if zlib.crc32(view[offset + 4 : end - 4]) != struct.unpack_from(">I", view, end - 4)[0]:
            raise DataError(f"{where}: a part of the PNG is damaged (checksum of {name!r}): send the original file")
        yield name, view[offset + 8 : end - 4]
        if name == b"IEND":
            return
        offset = end
    raise DataError(f"{where}: the PNG is cut short after {len(content):,} bytes: send the whole file")


def _check_png(content: bytes, where: str, max_pixels: int) -> None:
    chunks = _png_chunks(content, where)
    name, header = next(chunks)
    if name != b"IHDR" or len(header) != 13:
        raise DataError(f"{where}: the PNG does not begin with its header: send the original file")
    width, height, depth = struct.unpack(">IIB", header[:9])
    _check_size(width, height, where, max_pixels)
    if depth > 8:
        raise DataError(f"{where}: has {depth} bits a channel: convert it to 8")
    if any(name == b"acTL" for name, _ in chunks):
        raise DataError(f"{where}: is an animated PNG: send one still picture")


def _check_size(width: int, height: int, where: str, max_pixels: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise DataError(f"{where}: is {width} × {height} px, and at least {MIN_SIDE} × {MIN_SIDE} are needed")
    if width * height > max_pixels:
        raise DataError(
            f"{where}: declares {width} × {height} px, and at most {max_pixels:,} in all are read: cut it into patches"
        )


def _check_header(image: Any, kind: str, where: str) -> None:
    if image.format != kind or getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{where}: holds several pictures ({image.format}): send one still picture")
    if image.mode not in {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}:
        raise DataError(f"{where}: has colour mode {image.mode}: convert it to RGB of 8 bits")


def _rgb(image: Any, where: str) -> np.ndarray:
    """(H, W, 3); transparent pixels have no colour that a model could be shown.

    By strips: each of Pillow's conversions, and numpy's reading of them, would hold all the pixels once more.
    """
    width, height = image.size
    pixels, rows = np.empty((height, width, 3), np.uint8), max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        if image.has_transparency_data:
            strip = strip.convert("RGBA")
            if strip.getextrema()[3][0] < 255:
                raise DataError(f"{where}: has transparent pixels: lay it on a background and save it without alpha")
        pixels[top : top + rows] = np.asarray(strip.convert("RGB"))
    return pixels


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]
