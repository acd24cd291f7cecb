"""Where the tissue is: a mask on a thumbnail that pen marks, dust and dark edges do not fool.

Otsu's threshold (Otsu 1979) on saturation alone collapses on ink, the most saturated class of a slide. So ink is taken out by
colour first and does not take part in the threshold, which is then held between the saturations of faint and of strong stain.
"""

from __future__ import annotations

import cv2
import numpy as np

THUMBNAIL_MICRONS = 4.0
"""µm/px of the thumbnail that the mask is made on."""

BLUR_MICRONS = 4.0
CLOSE_MICRONS = 24.0
OPEN_MICRONS = 12.0
MIN_TISSUE_AREA = 5000.0
"""µm²; smaller specks are dust or loose cells."""

MAX_HOLE_DIAMETER = 60.0
"""µm across; larger holes are glass or lumen."""

MIN_INK_DIAMETER = 20.0
"""µm across; smaller specks are pigment, crowded nuclei or dust: no pen writes so finely."""

OTSU_FRACTION = 0.6
SATURATION_BOUNDS = (12.0, 40.0)
"""Of 255: no threshold below glass's own noise, none above faint eosin."""

ROWS = 256
"""Rows whose colours are looked at together: in two bytes a colour the whole thumbnail would take ten times its memory."""

BLACK_VALUE = 60
BLACK_CHROMA = 25
GREY_VALUE, GREY_CHROMA = 120, 10
"""Pale black ink, and the dark frame beside the glass: no stain so dark has as little colour, and HSV's saturation, which divides
by the value, is mostly noise there."""

RED_INK = 110

TINT_VALUE, TINT_CHROMA = 200, 20
"""Px this bright and this grey whose green is not the least are glass under a warm or cold lamp: both stains of H&E absorb
green first (Ruifrok & Johnston 2001)."""


def ink(pixels: np.ndarray) -> np.ndarray:
    """Pen marks and black: ``pixels`` (H, W, 3) uint8 → (H, W) bool.

    Green has more green than red, blue far more blue than red and is saturated, red far more red than green: stained tissue,
    between purple and pink, is not one of these. Black and grey have hardly any colour.
    """
    red, green, blue = (channel.astype(np.int16) for channel in cv2.split(pixels))
    minimum, maximum = _extremes(pixels)
    chroma = maximum - minimum
    green_ink = (green - red > 5) & (chroma > 20)
    blue_ink = (blue - red > 50) & (chroma > 80)
    black = (maximum < BLACK_VALUE) & (chroma < BLACK_CHROMA)
    grey = (maximum < GREY_VALUE) & (chroma < GREY_CHROMA)
    return np.asarray(green_ink | blue_ink | black | grey | (red - green > RED_INK))


def tinted_glass(pixels: np.ndarray) -> np.ndarray:
    """Glass that the lamp gives a colour: ``pixels`` (H, W, 3) uint8 → (H, W) bool."""
    minimum, maximum = _extremes(pixels)
    return np.asarray((minimum > TINT_VALUE) & (maximum - minimum < TINT_CHROMA) & (pixels[..., 1] > minimum))


def _extremes(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The minimum and the maximum of each px's three colours, (H, W) uint8 each; ten times as fast as along the last axis."""
    red, green, blue = cv2.split(pixels)
    return np.asarray(cv2.min(cv2.min(red, green), blue)), np.asarray(cv2.max(cv2.max(red, green), blue))


def _saturation(pixels: np.ndarray) -> np.ndarray:
    """Saturation of 255 (H, W) uint8, 0 where it is too dark to have any, or the lamp's."""
    saturation = np.array(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1])
    saturation[(_extremes(pixels)[1] < BLACK_VALUE) | tinted_glass(pixels)] = 0
    return saturation


def tissue_mask(pixels: np.ndarray, mpp: float) -> np.ndarray:
    """Tissue of a thumbnail (H, W, 3) uint8 at ``mpp`` µm/px → (H, W) bool."""
    smooth = cv2.GaussianBlur(pixels, (0, 0), max(0.5, BLUR_MICRONS / mpp / 2))
    marks, saturation = np.empty(smooth.shape[:2], bool), np.empty(smooth.shape[:2], np.uint8)
    for top in range(0, len(smooth), ROWS):
        rows = smooth[top : top + ROWS]
        marks[top : top + ROWS] = ink(rows)
        saturation[top : top + ROWS] = _saturation(rows)
    del smooth
    clean = saturation[~marks]
    if clean.size == 0:
        return np.zeros(marks.shape, bool)
    otsu = cv2.threshold(clean.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0]
    threshold = float(np.clip(OTSU_FRACTION * otsu, *SATURATION_BOUNDS))
    mask = ((saturation > threshold) & ~marks).astype(np.uint8)
    del clean, saturation
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(CLOSE_MICRONS / mpp))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(OPEN_MICRONS / mpp))
    mask = _without_small(mask, MIN_TISSUE_AREA / mpp**2)
    filled = 1 - _without_small(1 - mask, np.pi / 4 * (MAX_HOLE_DIAMETER / mpp) ** 2)
    # Closing and filling must not bring ink back, but a speck of its colour in the tissue makes no hole.
    strokes = _without_small(marks.astype(np.uint8), np.pi / 4 * (MIN_INK_DIAMETER / mpp) ** 2)
    return np.asarray((filled > 0) & (strokes == 0))


def _disc(diameter: float) -> np.ndarray:
    side = max(1, round(diameter)) | 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))


def _without_small(mask: np.ndarray, area: float) -> np.ndarray:
    """``mask`` (0 or 1) without connected parts of fewer than ``area`` px."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= area
    keep[0] = False
    kept = np.empty(mask.shape, np.uint8)
    for top in range(0, len(mask), ROWS):
        kept[top : top + ROWS] = keep[labels[top : top + ROWS]]
    return kept
