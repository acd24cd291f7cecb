"""The decoder for a directory's tiles, by their compression; or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pathology.wsi.jpeg2000_tiles import RGB_CODEC, STANDARD_CODEC, YCBCR_CODEC, decode_jpeg2000, warnings_are_heard
from pathology.wsi.jpeg_tiles import RGB, YCBCR, JpegTiles
from pathology.wsi.packed_tiles import PACKED, WEBP, check_packed, decode_packed, decode_webp
from pathology.wsi.tiff import JPEG, Tiles
from pathology.wsi.tile_errors import NotTakenError

TileDecoder = Callable[[bytes], np.ndarray]
"""(height, width, 3) uint8 of a tile's bytes. Raises DamagedTileError, or NotTakenError where the tile is not as the others are."""

JPEG2000 = frozenset({YCBCR_CODEC, RGB_CODEC, STANDARD_CODEC})


def tile_decoder(tiles: Tiles) -> TileDecoder:
    """The decoder that shows these tiles as OpenSlide does.

    Raises:
        NotTakenError: saying what of them no decoder here reads.
    """
    if tiles.planes != 1 or tiles.fill_order != 1 or tiles.orientation != 1:
        raise NotTakenError("its samples lie in planes, its bits are reversed or it is turned")
    if tiles.compression in PACKED:
        check_packed(tiles)
        return lambda data: decode_packed(data, tiles)
    if tiles.samples != 3 or set(tiles.bits) != {8} or tiles.photometric not in {RGB, YCBCR}:
        raise NotTakenError(f"its px are not RGB or YCbCr of 8 bits ({tiles.samples} samples, photometric {tiles.photometric})")
    width, height = tiles.width, tiles.height
    if tiles.compression == JPEG:
        return JpegTiles(tiles.tables, tiles.photometric, width, height).decode
    if tiles.compression in JPEG2000:
        if not warnings_are_heard():
            raise NotTakenError("OpenJPEG's warnings cannot be heard: logging is shut")
        by_photometric = tiles.compression == STANDARD_CODEC and tiles.photometric == YCBCR
        ycbcr = tiles.compression == YCBCR_CODEC or by_photometric
        return lambda data: decode_jpeg2000(data, width, height, ycbcr=ycbcr)
    if tiles.compression == WEBP and tiles.photometric == RGB:
        return lambda data: decode_webp(data, tiles)
    raise NotTakenError(f"its compression {tiles.compression} has no decoder here")
