"""Where the tissue is: a mask on a thumbnail that pen marks, dust, dark edges and tinted glass do not fool.

All colour is measured against the slide's own glass (:mod:`pathology.wsi.glass`). Otsu's threshold (Otsu 1979) on saturation alone
collapses on ink, the most saturated class of a slide. So ink is taken out by colour first and does not take part in the threshold,
which is then held between the saturations of faint and of strong stain. Pale tissue of the glass's own hue is known by its texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pathology.contracts.extraction.tiling import Tiling
from pathology.wsi.glass import TEXTURE_MICRONS, Glass, bands, extremes, find_glass, texture
from pathology.wsi.ink import LEAST_DENSITY, decide, density_table, inks

THUMBNAIL_MICRONS = 4.0
"""µm/px of the thumbnail that the mask is made on."""

BLUR_MICRONS = 4.0
CLOSE_MICRONS = 24.0
OPEN_MICRONS = 12.0

MIN_INK_DIAMETER = 20.0
"""µm across; smaller specks are pigment, crowded nuclei or dust: no pen writes so finely."""

RIM_MICRONS = 6.0
"""Width of a stroke's rim."""

OTSU_FRACTION = 0.6
SATURATION_BOUNDS = (12.0, 40.0)
"""Of 255: no threshold below glass's own noise, none above faint eosin."""

BALANCED = 220
"""Grey level that glass gets when its tint is taken out: room above for what is brighter than the glass."""

BLACK_VALUE = 60
"""Saturation divides by the value, and is mostly noise where that is so low."""

FOUND = "found"
"""How a mask came to be that was made by looking."""

FAINT_DENSITY = (0.015, 0.35)
"""Mean optical density of pale tissue: visibly darker than the glass, and brighter than dust."""

FAINT_TEXTURE = (2.0, 1.5)
"""Pale tissue has more texture than twice the glass's and this many grey levels."""

FAINT_MICRONS = 40.0
"""µm across that pale tissue of the glass's hue has at least; rims of strokes and dust are narrower."""

BESIDE_AREA = 10000.0
"""µm² of a piece of stained tissue beside which texture does not tell pale tissue."""


@dataclass(frozen=True)
class Tissue:
    """What a thumbnail shows: ``mask`` (H, W) bool of the tissue; ``ink`` (H, W) bool of pen marks, and of what may be ink as well
    as stain and counts as tissue; the slide's own ``glass``; ``source``, how the mask came to be."""

    mask: np.ndarray
    ink: np.ndarray
    glass: Glass
    source: str = FOUND

    @property
    def fraction(self) -> float:
        """Of the thumbnail, how much is tissue."""
        return float(self.mask.mean())


def tissue_mask(pixels: np.ndarray, mpp: float, tiling: Tiling | None = None) -> np.ndarray:
    """Tissue of a thumbnail (H, W, 3) uint8 at ``mpp`` µm/px → (H, W) bool."""
    return find_tissue(pixels, mpp, tiling).mask


def find_tissue(pixels: np.ndarray, mpp: float, tiling: Tiling | None = None) -> Tissue:
    """Tissue and ink of a thumbnail (H, W, 3) uint8 at ``mpp`` µm/px."""
    tiling = tiling or Tiling()
    glass, found, saturation, faint = _looked_at(pixels, mpp)
    marks, doubtful = decide(found, mpp)
    del found  # of a large slide each of these takes 6 MB and more
    if not tiling.remove_ink:
        marks, doubtful = np.zeros_like(marks), doubtful | marks
    faint &= 1 - marks
    # A speck of an ink's colour is pigment or crowded nuclei: strokes are wider, and their rims, half ink and half glass, look stained.
    strokes = cv2.dilate(without_small(marks, np.pi / 4 * (MIN_INK_DIAMETER / mpp) ** 2), _disc(2 * RIM_MICRONS / mpp))
    threshold = tiling.tissue_saturation or _threshold(saturation[marks == 0])
    mask = ((saturation > threshold) & (marks == 0)).astype(np.uint8)
    del saturation, marks
    if not tiling.tissue_saturation:  # a person's threshold is meant
        mask |= _pale(faint, mask, mpp)
    del faint
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _disc(CLOSE_MICRONS / mpp))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(OPEN_MICRONS / mpp))
    mask = without_small(mask, tiling.min_tissue_area / mpp**2)
    mask = 1 - without_small(1 - mask, np.pi / 4 * (tiling.max_hole / mpp) ** 2)
    # Closing and filling must not bring ink back, but a speck of its colour in the tissue makes no hole.
    mask &= 1 - strokes
    return Tissue(mask > 0, (strokes | (doubtful & mask)) > 0, glass)


def _looked_at(pixels: np.ndarray, mpp: float) -> tuple[Glass, np.ndarray, np.ndarray, np.ndarray]:
    """The slide's glass, and :func:`_by_colour` of the thumbnail over it."""
    spread = texture(pixels, mpp)
    smooth = cv2.GaussianBlur(pixels, (0, 0), max(0.5, BLUR_MICRONS / mpp / 2))
    glass = find_glass(smooth, spread)
    return glass, *_by_colour(smooth, spread, glass)


def _pale(faint: np.ndarray, stained: np.ndarray, mpp: float) -> np.ndarray:
    """Of what may be pale tissue, (H, W) uint8, what is. Beside strongly ``stained`` tissue texture is that of its edge."""
    pieces = without_small(cv2.morphologyEx(stained, cv2.MORPH_OPEN, _disc(OPEN_MICRONS / mpp)), BESIDE_AREA / mpp**2)
    beside = cv2.dilate(pieces, np.ones(2 * [max(1, round(2 * TEXTURE_MICRONS / mpp)) | 1], np.uint8))
    closed = cv2.morphologyEx(faint & (1 - beside), cv2.MORPH_CLOSE, _disc(CLOSE_MICRONS / mpp))
    return np.asarray(cv2.morphologyEx(closed, cv2.MORPH_OPEN, _disc(FAINT_MICRONS / mpp)))


def _by_colour(pixels: np.ndarray, spread: np.ndarray, glass: Glass) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What :func:`inks` finds, saturation over the glass, and what may be pale tissue: (H, W) uint8 each."""
    saturation, faint = (np.empty(pixels.shape[:2], np.uint8) for _ in range(2))
    found = np.zeros(pixels.shape[:2], np.uint8)
    table, average = density_table(glass), np.full((1, 3), 1 / 3, np.float32)
    levels = np.arange(256, dtype=np.float32)[:, None] * (BALANCED / np.array(glass.colour, np.float32))
    balance = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None]
    rough = 4 * (FAINT_TEXTURE[0] * glass.texture + FAINT_TEXTURE[1])
    for rows in bands(pixels.shape):
        colours = pixels[rows]
        density = cv2.LUT(colours, table)
        mean = cv2.transform(density, average)
        inked = mean > LEAST_DENSITY
        found[rows][inked] = inks(colours[inked], density[inked])
        saturation[rows] = cv2.cvtColor(cv2.LUT(colours, balance), cv2.COLOR_RGB2HSV)[..., 1]
        saturation[rows][extremes(colours)[1] < BLACK_VALUE] = 0
        faint[rows] = (mean > FAINT_DENSITY[0]) & (mean < FAINT_DENSITY[1]) & (spread[rows] > rough)
    return found, saturation, faint


def _threshold(saturation: np.ndarray) -> float:
    """Of the saturation (n,) of what is not ink."""
    if saturation.size == 0:
        return SATURATION_BOUNDS[1]
    otsu = cv2.threshold(saturation.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[0]
    return float(np.clip(OTSU_FRACTION * otsu, *SATURATION_BOUNDS))


def _disc(diameter: float) -> np.ndarray:
    side = max(1, round(diameter)) | 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))


def without_small(mask: np.ndarray, area: float) -> np.ndarray:
    """``mask`` (H, W) uint8, 0 or 1, without connected parts of fewer than ``area`` px."""
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    areas = np.zeros(count, np.int64)
    for rows in bands(mask.shape):  # bincount makes 8 bytes of each label
        areas += np.bincount(labels[rows].ravel(), minlength=count)
    keep = areas >= area
    keep[0] = False
    kept = np.empty(mask.shape, np.uint8)
    for rows in bands(mask.shape):
        kept[rows] = keep[labels[rows]]
    return kept
