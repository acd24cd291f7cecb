"""An encoder of mean colours: it costs next to nothing, needs no torch, and shows every change of a tile's px."""

from pathlib import Path

import cv2
import numpy as np
from pathology.contracts.encoder import MANIFEST, EncoderManifest

CELLS = 8
"""Cells along a side of a tile, 28 px each."""

COLOURS = EncoderManifest(
    name="colours", architecture="none", sha256="c0" * 32, dimension=3 * CELLS**2, placeholder=True,
    remark="mean colours for tests, not an encoder",
)  # fmt: skip


def write_manifest(folder: Path) -> EncoderManifest:
    """encoder.json alone: who finds its features finished reads no checkpoint, and the tests bring the encoder themselves."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_bytes(COLOURS.to_json())
    return COLOURS


class ColourEncoder:
    """What extraction asks of ``pathology.encoders.encoder.Encoder``; it keeps count of ``tiles``."""

    manifest, dimension, arithmetic = COLOURS, COLOURS.dimension, "float32"

    def __init__(self) -> None:
        self.tiles = 0

    def batch(self, wanted: int) -> int:
        """Tiles of one batch."""
        return wanted or 32

    def embed(self, tiles: np.ndarray) -> np.ndarray:
        """(B, 224, 224, 3) uint8 → (B, 192) float16: the mean of each cell, 32 grey levels to 1."""
        assert tiles.dtype == np.uint8 and tiles.shape[1:] == (COLOURS.pixels, COLOURS.pixels, 3)
        self.tiles += len(tiles)
        size = (CELLS, CELLS)
        cells = [cv2.resize(tile.astype(np.float32), size, interpolation=cv2.INTER_AREA).ravel() for tile in tiles]
        return ((np.array(cells) - 128) / 32).astype(np.float16)
