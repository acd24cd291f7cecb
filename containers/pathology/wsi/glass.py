"""The colour of a slide's own bare glass, which stain and ink are measured against: lamps, mounting media and cameras tint it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter

BAND_PIXELS = 2**17
"""Px that are looked at together: in float32 the whole thumbnail would take ten times its memory."""

TEXTURE_MICRONS = 36.0
"""Side of the window that texture is measured in: a few nuclei, and still thin beside a piece of tissue."""

FLAT = 4.0
"""Grey levels: tissue's texture is above it (6 and more, measured), bare glass's noise after JPEG below (1 to 3)."""

DARKEST, MOST_CHROMA = 180, 45
"""No lamp leaves glass darker or of more colour; frames, dust and stain are."""

FILL = 253
"""Px brighter than this in all colours were never scanned: scanners fill them with white, which says nothing of the lamp."""

STEP = 4
"""Grey levels that are one bin when the most frequent colours are looked for."""

RIVAL = 0.2
"""Flat colours this frequent, of the most frequent one, may be glass; the one with the most green is, since stain takes green first."""

FEWEST = 0.0005
"""Fraction of the px that glass must have to be told from chance."""

SAMPLE = 400_000
"""Px of a picture that are looked at for the glass's colour, about."""

ASSUMED = (235.0, 250.0)
"""Bounds of the grey that glass is taken to have where a slide shows none."""


@dataclass(frozen=True)
class Glass:
    """Glass of a slide: its ``colour`` (red, green, blue) as floats, its ``texture`` in grey levels, and whether it was ``found``
    or, where the slide shows none, assumed to be grey."""

    colour: tuple[float, float, float]
    texture: float
    found: bool


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """All rows of (H, W, …) px, as many at a time as make :data:`BAND_PIXELS`."""
    height, rows = shape[0], max(1, BAND_PIXELS // max(1, shape[1]))
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def extremes(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The minimum and the maximum of each px's three colours, (H, W) uint8 each; ten times as fast as along the last axis."""
    red, green, blue = cv2.split(pixels)
    return np.asarray(cv2.min(cv2.min(red, green), blue)), np.asarray(cv2.max(cv2.max(red, green), blue))


def texture(pixels: np.ndarray, mpp: float) -> np.ndarray:
    """Standard deviation of the grey around each px of (H, W, 3) uint8 at ``mpp`` µm/px → (H, W) uint8, a quarter of a grey level
    a step."""
    side = max(3, round(TEXTURE_MICRONS / mpp)) | 1
    found = np.empty(pixels.shape[:2], np.uint8)
    for rows in bands(pixels.shape):
        above, below = max(0, rows.start - side), min(len(pixels), rows.stop + side)
        grey = cv2.cvtColor(pixels[above:below], cv2.COLOR_RGB2GRAY).astype(np.float32)
        mean = cv2.boxFilter(grey, -1, (side, side))
        variance = cv2.boxFilter(grey * grey, -1, (side, side)) - mean * mean
        spread = np.sqrt(np.maximum(variance, 0))[rows.start - above : rows.stop - above]
        found[rows] = np.minimum(np.rint(4 * spread), 255)
    return found


def find_glass(pixels: np.ndarray, spread: np.ndarray) -> Glass:
    """The glass of a smoothed thumbnail (H, W, 3) uint8, with the ``texture`` (H, W) of the unsmoothed one.

    Among the flat and bright colours it is the one with the most green of those that are frequent.
    """
    # A sample on a lattice tells colours as well as all px do.
    step = max(1, round((spread.size / SAMPLE) ** 0.5))
    pixels, spread = np.ascontiguousarray(pixels[::step, ::step]), np.ascontiguousarray(spread[::step, ::step])
    minimum, maximum = extremes(pixels)
    flat = (spread < 4 * FLAT) & (minimum >= DARKEST) & (maximum - minimum <= MOST_CHROMA)
    side = (255 - DARKEST) // STEP + 1
    counts, filled = (_histogram(pixels[flat & chosen], side) for chosen in (minimum < FILL, minimum >= FILL))
    least = max(16.0, FEWEST * spread.size)
    if counts.sum() < least:
        counts = filled
    if counts.sum() < least:
        grey = float(np.clip(np.percentile(minimum, 99.5), *ASSUMED))
        return Glass((grey, grey, grey), FLAT / 2, found=False)
    smooth = uniform_filter(counts.reshape(side, side, side).astype(np.float32), 3, mode="constant")
    peaks = np.argwhere((smooth == maximum_filter(smooth, 3)) & (smooth >= RIVAL * smooth.max()))
    peak = max(peaks.tolist(), key=lambda colour: (colour[1], smooth[tuple(colour)]))
    return _around(pixels, spread, DARKEST + (np.array(peak) + 0.5) * STEP)


def _histogram(colours: np.ndarray, side: int) -> np.ndarray:
    """How many of ``colours`` (n, 3) uint8 are in each bin, (side³,) int64."""
    red, green, blue = (colours.astype(np.int64) - DARKEST).T // STEP
    return np.bincount((red * side + green) * side + blue, minlength=side**3)


def _around(pixels: np.ndarray, spread: np.ndarray, centre: np.ndarray) -> Glass:
    """The mean of the flat px within two bins of ``centre`` (3,), and their median texture."""
    near = (np.abs(pixels - centre.astype(np.float32)) <= 2 * STEP).all(axis=2) & (spread < 4 * FLAT)
    red, green, blue = pixels[near].mean(axis=0, dtype=np.float64).tolist()
    return Glass((red, green, blue), float(np.median(spread[near])) / 4, found=True)
