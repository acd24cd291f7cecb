"""Pictures of one level: PNG, JPEG and TIFF without tiles, decoded once and kept, within a limit of pixels."""

from __future__ import annotations

import shlex
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pathology.contracts.errors import DataError
from pathology.wsi.reader import Level
from pathology.wsi.tiff import Directory

MAX_FLAT_PIXELS = 2**27
"""px of a picture: it is decoded whole, and Pillow keeps 4 bytes for a px of colour, 512 MiB for this many (11,585 px a side)."""

MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA"})
"""Pillow's names of what is 8 bits a channel and grey or RGB, with or without alpha or a palette."""

BITS_PER_SAMPLE = 258
PNG_MAGIC, JPEG_MAGIC = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_CHUNK = 2**20


def is_flat(path: Path, directories: list[Directory]) -> bool:
    """Whether the file is a PNG or JPEG by its first bytes, or a TIFF no image of which has tiles."""
    if directories:
        return not any(directory.tiled for directory in directories)
    with path.open("rb") as file:
        head = file.read(len(PNG_MAGIC))
    return head == PNG_MAGIC or head.startswith(JPEG_MAGIC)


class FlatReader:
    """The picture as a slide of one level; transparent px are glass. JPEG is decoded strictly: what its decoder only warns of is
    an error here. What PNG and JPEG say of their size on paper is no scale of a scanner, and not asked for.
    """

    name = "flat"
    keeps_tiles = True

    def __init__(self, path: Path) -> None:
        self._picture: Any = _decode(path)
        self._array = self._picture if isinstance(self._picture, np.ndarray) else None
        width, height = self._picture.size if self._array is None else self._array.shape[1::-1]
        self.levels: tuple[Level, ...] = (Level(width, height, 1.0),)

    def read_region(self, x: int, y: int, width: int, height: int, level: int) -> np.ndarray:
        if level:
            raise DataError(f"the picture has one level, not level {level}")
        pixels = np.full((height, width, 3), 255, np.uint8)
        left, top = max(0, x), max(0, y)
        right, bottom = min(x + width, self.levels[0].width), min(y + height, self.levels[0].height)
        if left < right and top < bottom:
            pixels[top - y : bottom - y, left - x : right - x] = self._inside(left, top, right, bottom)
        return pixels

    def _inside(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        if self._array is not None:
            return self._array[top:bottom, left:right]
        rgba = np.asarray(self._picture.crop((left, top, right, bottom)).convert("RGBA")).astype(np.uint16)
        alpha = rgba[..., 3:]
        return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)

    def forget_tiles(self) -> None:
        """There is the picture alone, which is needed to the end."""

    def close(self) -> None:
        self._picture = self._array = None


def conversion(path: Path) -> str:
    """What makes a slide of it, as a command."""
    source, target = shlex.quote(path.name), shlex.quote(f"{path.stem}-tiled.tif")
    return f"vips tiffsave {source} {target} --tile --pyramid --compression jpeg --Q 90 --bigtiff"


def _decode(path: Path) -> Any:
    """The px (height, width, 3) uint8 of a JPEG, and Pillow's image of another file: it keeps what it decodes, once."""
    from PIL import Image

    try:
        with path.open("rb") as file:
            _check_png(file, path.name)
        with warnings.catch_warnings():
            # Its warning of large pictures begins below our limit, its error above.
            warnings.simplefilter("ignore")
            image: Any = Image.open(path)
            _check(image, path)
            if image.format == "JPEG":
                import simplejpeg

                image.close()
                return simplejpeg.decode_jpeg(path.read_bytes(), "RGB", strict=True)
            image.load()
        return image
    except Image.DecompressionBombError:
        raise DataError(_too_large(path, "more than twice as many")) from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        reason = " ".join(str(error).replace(str(path), path.name).split())
        raise DataError(f"{path.name}: damaged, or not read as it is ({reason}): copy it again, or {conversion(path)}") from None


def _too_large(path: Path, size: str) -> str:
    return f"{path.name}: a picture of {size} px, and at most {MAX_FLAT_PIXELS:,} are decoded whole: {conversion(path)}"


def _check(image: Any, path: Path) -> None:
    """Refuse, before anything is decoded, what is too large, of another depth or colour, or several pictures in one file."""
    width, height = image.size
    if width * height > MAX_FLAT_PIXELS:
        raise DataError(_too_large(path, f"{width:,} × {height:,}"))
    depth = image.tag_v2.get(BITS_PER_SAMPLE, (8,)) if image.format == "TIFF" else (8,)
    if image.mode not in MODES or max(depth) > 8:
        raise DataError(f"{path.name}: its px are {image.mode}, not grey or RGB of at most 8 bits: {conversion(path)}")
    if image.format == "TIFF" and image.info.get("compression") in ("jpeg", "tiff_jpeg"):
        raise DataError(
            f"{path.name}: its strips are JPEG, and what their decoder warns of would not be heard: {conversion(path)}"
        )
    for number in range(1, getattr(image, "n_frames", 1)):
        image.seek(number)
        if image.width * image.height >= width * height:
            raise DataError(f"{path.name}: several pictures of {width:,} × {height:,} px in one file: save the one that is meant")
    if getattr(image, "n_frames", 1) > 1:
        image.seek(0)


def _check_png(file: BinaryIO, name: str) -> None:
    """Hold every chunk of a PNG against its checksum, which Pillow does not do for the pixels; other files are left alone."""
    if file.read(len(PNG_MAGIC)) != PNG_MAGIC:
        return
    kind = b""
    while kind != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            raise DataError(f"{name}: truncated: download it again")
        length, kind = struct.unpack(">I4s", head)
        sum_, left = zlib.crc32(kind), length
        while left:
            part = file.read(min(left, _CHUNK))
            if not part:
                raise DataError(f"{name}: truncated: download it again")
            sum_, left = zlib.crc32(part, sum_), left - len(part)
        if file.read(4) != struct.pack(">I", sum_):
            raise DataError(f"{name}: damaged: a checksum of its {kind.decode('latin-1')!a} is wrong: copy it again")
