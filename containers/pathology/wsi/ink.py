"""Pen marks, dust and frames by colour: what takes light from the slide's own glass as no stain does."""

from __future__ import annotations

import cv2
import numpy as np

from pathology.wsi.glass import Glass, bands

SURE, MAYBE_RED, MAYBE_DUST = 1, 2, 4
"""Bits of what :func:`inks` finds."""

RED_DENSITY, RED_BALANCE = 1.1, 0.74
"""Red and maroon ink take green and blue alike, and nearly all of both. Eosin that strong, with nuclei in it, takes less blue than
that (0.56 to 0.70 of green: Macenko et al. 2009); old eosin takes as much and is half as dense."""

SOLID_DENSITY, SOLID_BALANCE = 2.0, 0.62
"""Of ink so dense the blue counts less, since glass of a yellow tint has less to take; between the two the balance is in proportion."""

MOST_RED = 0.5
"""Of the green: maroon ink takes 0.35, dense nuclei and melanin 0.55 and more."""

REDDISH_DENSITY, REDDISH_BALANCE = 0.85, 0.68
"""From here on a px may be red ink as well as strong stain: few px of stained tissue are (CMU-1-Small-Region: 2 %)."""

NEUTRAL_DENSITY, NEUTRAL_RANGE, GREYISH_RANGE = 0.35, 0.22, 0.4
"""Dust and shadow take all colours alike, within this fraction of what they take; up to the larger fraction a px may be dust."""

MAJORITY = 0.3
"""Px that may be ink are taken for it where this fraction of them and their like around is ink beyond doubt."""

VOTE_MICRONS = 36.0
"""Side of the window in which they are counted."""

BLACK_VALUE, BLACK_CHROMA = 60, 25
GREY_VALUE, GREY_CHROMA = 120, 10
"""Black ink, pale black ink, and the dark frame beside the glass."""


LEAST_DENSITY = 0.2
"""Mean density of any ink; what is paler is not looked at."""


def density_table(glass: Glass) -> np.ndarray:
    """Optical density of each grey level over the glass, (1, 256, 3) float32: ln(glass / level); below 0 where brighter."""
    levels = np.maximum(np.arange(256, dtype=np.float32), 1)
    return np.asarray(np.log(np.array(glass.colour, np.float32) / levels[:, None]), np.float32)[None]


def inks(pixels: np.ndarray, density: np.ndarray) -> np.ndarray:
    """(n, 3) uint8 and their optical density (n, 3) float32 → (n,) uint8: 0, :data:`MAYBE_RED`, :data:`MAYBE_DUST`, or those and
    :data:`SURE` for ink, black and dust beyond doubt."""
    red, green, blue = np.ascontiguousarray(density.T)
    plain_red, plain_green, plain_blue = np.ascontiguousarray(pixels.T).astype(np.int16)
    maximum = np.maximum(np.maximum(plain_red, plain_green), plain_blue)
    chroma = maximum - np.minimum(np.minimum(plain_red, plain_green), plain_blue)
    # Haematoxylin and eosin take green first; green ink takes it last, blue ink takes red first, orange ink hardly takes red.
    green_ink = (red > green) & (plain_green - plain_red > 5) & (chroma > 20)
    blue_ink = (plain_blue - plain_red > 50) & (chroma > 80) & ((red > green) | (red > 0.85 * green) & (blue < 0.25 * green))
    orange_ink = (blue > 0.6) & (blue > 1.6 * green) & (red < 0.25 * blue)
    slope = (RED_BALANCE - SOLID_BALANCE) / (SOLID_DENSITY - RED_DENSITY)
    least = RED_BALANCE - slope * np.clip(green - RED_DENSITY, 0, SOLID_DENSITY - RED_DENSITY)
    little_red = red < MOST_RED * green
    red_ink = (green > RED_DENSITY) & (blue > least * green) & little_red
    reddish = (green > REDDISH_DENSITY) & (blue > REDDISH_BALANCE * green) & little_red
    black = (maximum < BLACK_VALUE) & (chroma < BLACK_CHROMA) | (maximum < GREY_VALUE) & (chroma < GREY_CHROMA)
    mean = (red + green + blue) / 3
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    dense = mean > NEUTRAL_DENSITY
    found = (red_ink | reddish) * np.uint8(MAYBE_RED)
    found |= (dense & (spread < GREYISH_RANGE * mean)) * np.uint8(MAYBE_DUST)
    found |= (green_ink | blue_ink | orange_ink | red_ink | black | dense & (spread < NEUTRAL_RANGE * mean)) * np.uint8(SURE)
    return np.asarray(found)


def decide(found: np.ndarray, mpp: float) -> tuple[np.ndarray, np.ndarray]:
    """:func:`inks` of a whole picture at ``mpp`` µm/px → what is ink, and what is as likely stain; (H, W) uint8, 0 or 1, each.

    Px of a pen differ, and some look like stain; those around them tell.
    """
    side = max(3, round(VOTE_MICRONS / mpp)) | 1
    ink, doubtful = (found & SURE > 0).astype(np.uint8), np.zeros(found.shape, np.uint8)
    for kind in (MAYBE_RED, MAYBE_DUST):
        for rows in bands(found.shape):
            above, below = max(0, rows.start - side), min(len(found), rows.stop + side)
            part = found[above:below]
            if not (part & kind).any():
                continue
            maybe = (part & kind > 0).astype(np.float32)
            sure = maybe * (part & SURE > 0)
            here = slice(rows.start - above, rows.stop - above)
            wins = cv2.boxFilter(sure, -1, (side, side))[here] > MAJORITY * cv2.boxFilter(maybe, -1, (side, side))[here]
            open_ = (part[here] & kind > 0) & (part[here] & SURE == 0)
            ink[rows] |= open_ & wins
            if kind == MAYBE_RED:
                doubtful[rows] = open_ & ~wins
    return ink, doubtful & ~ink & 1
