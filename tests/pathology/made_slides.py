"""Writes slides for tests."""

from pathlib import Path

import cv2
import numpy as np
import tifffile

from demo.slides import Look, paint, write_svs
from tests.made import made_once

SMALL = 5


def write_tiff(path: Path, pixels: np.ndarray, downsamples=(1,), *, compression=None, **tags) -> None:
    """A plain pyramidal TIFF, lossless unless asked otherwise."""
    with tifffile.TiffWriter(path) as tiff:
        for number, factor in enumerate(downsamples):
            size = (pixels.shape[1] // factor, pixels.shape[0] // factor)
            level = cv2.resize(pixels[: size[1] * factor, : size[0] * factor], size, interpolation=cv2.INTER_AREA)
            tiff.write(
                level,
                tile=(256, 256),
                photometric="rgb",
                compression=compression,
                subfiletype=1 if number else 0,
                metadata=None,
                **tags,
            )


def write_kind(path: Path, pixels: np.ndarray, kind: str, mpp: float | None = 0.5) -> None:
    """(H, W, 3) uint8 as a slide of levels 1 and 4 in 256 px tiles: ``kind`` is "jpeg", "jpeg2000", "deflate" or "plain".

    An .svs calls itself an Aperio slide, with ``mpp`` as text and JPEG 2000 as Aperio's own codec 33005 (RGB); any other suffix
    is a plain TIFF, with ``mpp`` in its resolution tags. Without ``mpp`` it gives no scale.
    """
    height, width = pixels.shape[:2]
    compression, arguments = {
        "jpeg": ("jpeg", {"level": 90, "subsampling": (2, 2)}),
        "jpeg2000": (33005, {"level": 42, "codecformat": "j2k", "mct": False}),
        "deflate": ("zlib", None),
        "plain": (None, None),
    }[kind]
    options = {"photometric": "rgb", "compression": compression, "compressionargs": arguments, "tile": (256, 256)}
    aperio = path.suffix == ".svs"
    if mpp and not aperio:
        options |= {"resolution": (10000 / mpp, 10000 / mpp), "resolutionunit": "CENTIMETER"}
    figures = f"|AppMag = 20|MPP = {mpp}" if mpp else "|AppMag = 20"
    with tifffile.TiffWriter(path) as tiff:
        for factor in (1, 4):
            size = (width // factor, height // factor)
            level = cv2.resize(pixels[: size[1] * factor, : size[0] * factor], size, interpolation=cv2.INTER_AREA)
            text = (
                f"Aperio Image Library v12.0.15 \r\n{width}x{height} [0,0 {width}x{height}] (256x256){figures}"
                if aperio
                else None
            )
            tiff.write(
                level,
                description=text,
                subfiletype=1 if factor > 1 and not aperio else 0,
                metadata=None,
                software=False,
                **options,
            )


def tile_bytes(path: Path, x: int, y: int, page: int = 0) -> tuple[int, int]:
    """Where the TIFF tile that holds px ``x``, ``y`` of a page lies in the file: offset and length in bytes."""
    with tifffile.TiffFile(path) as tiff:
        image = tiff.pages[page]
        index = _index(image, x, y)
        return image.dataoffsets[index], image.databytecounts[index]


def table_entry(path: Path, x: int, y: int, table: str) -> tuple[int, int]:
    """Where the entry of the same tile of the first page lies in "TileOffsets" or "TileByteCounts": offset and length in bytes."""
    with tifffile.TiffFile(path) as tiff:
        image = tiff.pages[0]
        tag = image.tags[table]
        size = {3: 2, 4: 4, 13: 4, 16: 8}[int(tag.dtype)]
        return tag.valueoffset + _index(image, x, y) * size, size


def _index(image: tifffile.TiffPage, x: int, y: int) -> int:
    return y // image.tilelength * -(-image.imagewidth // image.tilewidth) + x // image.tilewidth


def small_slides() -> Path:
    """A folder with s0.svs to s4.svs, painted tissue of 16 to 20 tiles, each larger than the one before; for reading only."""
    return made_once("small-slides", _write_small_slides)


def _write_small_slides(folder: Path) -> None:
    whole = paint(Look(800, 0.7, 1, 1), np.random.default_rng(3))
    for number in range(SMALL):
        write_svs(folder / f"s{number}.svs", whole[400 : 1300 + 60 * number, 400:1400])
