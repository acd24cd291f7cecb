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
    picture = texture(UNIQUE * TILE, seed)
    with tifffile.TiffWriter(path, bigtiff=False) as svs:
        for number, downsample in enumerate((1, 4, 16)):
            level_side = side // downsample
            size = f"{level_side}x{level_side} ({TILE}x{TILE}) JPEG/RGB Q={QUALITY}"
            text = f"Aperio Image Library v12.0.15 \r\n{size}|AppMag = {10 / mpp:.0f}|MPP = {mpp}"
            svs.write(
                _tiles(picture, side, downsample, compression),
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


def _tiles(picture: np.ndarray, side: int, downsample: int, compression: Compression) -> Iterator[bytes]:
    """The tiles of a level, row by row: level 0 made smaller, each that differs from all before it encoded once."""
    small = cv2.resize(picture, None, fx=1 / downsample, fy=1 / downsample, interpolation=cv2.INTER_AREA)
    part = TILE // downsample
    count = -(-side // TILE)
    y, x = np.mgrid[: count + downsample, : count + downsample]
    tissue = (x - (count - 1) / 2) ** 2 + (y - (count - 1) / 2) ** 2 <= (0.48 * count) ** 2
    encoded: dict[tuple[int, int, bytes], bytes] = {}
    for top in range(0, -(-(side // downsample) // TILE) * downsample, downsample):
        for left in range(0, -(-(side // downsample) // TILE) * downsample, downsample):
            inside = np.zeros((downsample, downsample), bool)
            seen = tissue[top : top + downsample, left : left + downsample]
            inside[: seen.shape[0], : seen.shape[1]] = seen
            key = (top % UNIQUE, left % UNIQUE, inside.tobytes()) if inside.any() else (0, 0, b"")
            if key not in encoded:
                rows, columns = ((start * part + np.arange(TILE)) % len(small) for start in key[:2])  # the picture repeats
                tile = small[rows[:, None], columns]
                shown = np.repeat(np.repeat(inside, part, axis=0), part, axis=1)[..., None]
                encoded[key] = _encoded(np.where(shown, tile, np.uint8(243)), compression)
            yield encoded[key]


def _encoded(tile: np.ndarray, compression: Compression) -> bytes:
    tile = np.ascontiguousarray(tile)
    if compression == "jpeg":
        return bytes(imagecodecs.jpeg8_encode(tile, level=QUALITY, subsampling="420"))
    return bytes(imagecodecs.jpeg2k_encode(tile, level=35, codecformat="j2k", reversible=False))
