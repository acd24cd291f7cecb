"""Slides to measure reading on: tiled JPEG or JPEG 2000 pyramids of any size, written from a few tiles that repeat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import imagecodecs
import numpy as np
import tifffile

TILE = 240
"""Side of a TIFF tile in px, as Aperio's scanners write them."""

QUALITY = 80
UNIQUE = 16
"""The picture repeats after this many tiles in x and in y: decoding costs the same, writing a sixteenth of a sixteenth."""

Compression = Literal["jpeg", "jpeg2000"]


def texture(side: int, seed: int) -> np.ndarray:
    """(side, side, 3) uint8 of H&E-like texture: nuclei on eosin, with noise that costs a decoder what tissue costs it."""
    generator = np.random.default_rng(seed)
    eosin = cv2.GaussianBlur(generator.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 6)
    nuclei = cv2.GaussianBlur((generator.random((side, side)) > 0.9985).astype(np.float32), (0, 0), 3) > 0.012
    base = np.empty((side, side, 3), np.float32)
    base[:] = (214, 150, 190)
    base += 60 * eosin[..., None] * np.array([0.6, 1.0, 0.7], np.float32)
    base[nuclei] = (96, 62, 140)
    return np.asarray(np.clip(cv2.GaussianBlur(base, (0, 0), 0.8) + generator.normal(0, 4, base.shape), 0, 255).astype(np.uint8))


def write_slide(path: Path, side: int, mpp: float, compression: Compression = "jpeg", seed: int = 0) -> None:
    """Write an Aperio SVS of ``side`` × ``side`` px with levels at 1, 4 and 16: a disc of tissue on glass, ``mpp`` in µm/px."""
    with tifffile.TiffWriter(path, bigtiff=False) as svs:
        for number, downsample in enumerate((1, 4, 16)):
            level_side = side // downsample
            size = f"{level_side}x{level_side} ({TILE}x{TILE}) JPEG/RGB Q={QUALITY}"
            text = f"Aperio Image Library v12.0.15 \r\n{size}|AppMag = {10 / mpp:.0f}|MPP = {mpp}"
            svs.write(
                _tiles(level_side, compression, seed + number),
                shape=(level_side, level_side, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="ycbcr" if compression == "jpeg" else "rgb",
                subsampling=(2, 2) if compression == "jpeg" else None,
                compression=7 if compression == "jpeg" else 33005,
                description=text,
                metadata=None,
                software=False,
                subfiletype=0 if number == 0 else 1,
            )


def _tiles(side: int, compression: Compression, seed: int) -> Iterator[bytes]:
    picture = texture(UNIQUE * TILE, seed)
    glass = _encoded(np.full((TILE, TILE, 3), 243, np.uint8), compression)
    tissue = [
        [_encoded(picture[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE], compression) for x in range(UNIQUE)]
        for y in range(UNIQUE)
    ]
    count = -(-side // TILE)
    centre = (count - 1) / 2
    for y in range(count):
        for x in range(count):
            inside = (x - centre) ** 2 + (y - centre) ** 2 <= (0.48 * count) ** 2
            yield tissue[y % UNIQUE][x % UNIQUE] if inside else glass


def _encoded(tile: np.ndarray, compression: Compression) -> bytes:
    tile = np.ascontiguousarray(tile)
    if compression == "jpeg":
        return bytes(imagecodecs.jpeg8_encode(tile, level=QUALITY, subsampling="420"))
    return bytes(imagecodecs.jpeg2k_encode(tile, level=35, codecformat="j2k", reversible=False))
