"""Exactly black px: what a reader gives for what it could not decode, and what tissue under JPEG next to never has."""

from __future__ import annotations

import cv2
import numpy as np

MAX_BLACK_FRACTION, MAX_BLACK_PIXELS = 0.01, 500
"""Where TIFF tiles that were read together have more exactly black px than this fraction of one of them, or than 500, which are 1 %
of a tile, those with any are read again by the other reader: cuCIM answers zeros for what it cannot decode. A tile of the grid with
more than the fraction is left out."""


def black_pixels(pixels: np.ndarray) -> int:
    """How many px of (H, W, 3) uint8 are exactly black."""
    if pixels.min() > 0:  # one fast pass, and the answer for most tissue
        return 0
    return cv2.countNonZero(cv2.inRange(pixels, (0, 0, 0), (0, 0, 0)))
