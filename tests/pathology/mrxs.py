"""Writes small MRXS slides: ``x.mrxs``, and the folder ``x`` with Slidedat.ini, Index.dat and Data0000.dat.

The layout is what OpenSlide reads (https://openslide.org/formats/mirax/): one level of JPEG tiles without overlap.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

VERSION, SLIDE_ID, TILE = "01.02", "0123456789ABCDEF", 256

SLIDEDAT = """[GENERAL]
SLIDE_VERSION = {version}
SLIDE_ID = {slide_id}
IMAGENUMBER_X = {across}
IMAGENUMBER_Y = {down}
OBJECTIVE_MAGNIFICATION = 20
CameraImageDivisionsPerSide = 1

[HIERARCHICAL]
HIER_COUNT = 1
NONHIER_COUNT = 0
INDEXFILE = Index.dat
HIER_0_NAME = Slide zoom level
HIER_0_COUNT = 1
HIER_0_VAL_0_SECTION = LAYER_0_LEVEL_0_SECTION

[DATAFILE]
FILE_COUNT = 1
FILE_0 = Data0000.dat

[LAYER_0_LEVEL_0_SECTION]
OVERLAP_X = 0
OVERLAP_Y = 0
MICROMETER_PER_PIXEL_X = {mpp}
MICROMETER_PER_PIXEL_Y = {mpp}
IMAGE_FORMAT = JPEG
IMAGE_FILL_COLOR_BGR = 16777215
DIGITIZER_WIDTH = 256
DIGITIZER_HEIGHT = 256
IMAGE_CONCAT_FACTOR = 0
"""


def write_mrxs(path: Path, pixels: np.ndarray, mpp: float = 0.5) -> None:
    """(H, W, 3) uint8, cut to whole tiles of 256 px, as an MRXS."""
    down, across = (side // TILE for side in pixels.shape[:2])
    folder = path.with_suffix("")
    folder.mkdir(parents=True)
    path.write_bytes(b"")
    (folder / "Slidedat.ini").write_text(SLIDEDAT.format(version=VERSION, slide_id=SLIDE_ID, across=across, down=down, mpp=mpp))
    data, records = bytearray(b"header"), []
    for number in range(across * down):
        row, column = divmod(number, across)
        tile = pixels[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        jpeg = io.BytesIO()
        Image.fromarray(tile).save(jpeg, "JPEG", quality=90)
        records.append((number, len(data), len(jpeg.getvalue()), 0))
        data += jpeg.getvalue()
    (folder / "Data0000.dat").write_bytes(data)
    head = f"{VERSION}{SLIDE_ID}".encode()
    root = len(head) + 8
    # Roots of both hierarchies; the level's record; an empty first page, which points to the one with the tiles.
    index = head + struct.pack("<2i", root, 0) + struct.pack("<i", root + 4) + struct.pack("<2i", 0, root + 12)
    index += struct.pack("<2i", len(records), 0) + b"".join(struct.pack("<4i", *record) for record in records)
    (folder / "Index.dat").write_bytes(index)
