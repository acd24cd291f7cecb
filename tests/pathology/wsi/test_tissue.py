"""The mask keeps tissue, faint tissue too, and drops glass, ink, dust and dark edges."""

import cv2
import numpy as np
import pytest
from pathology.wsi.tissue import tissue_mask

GLASS, PINK, FAINT = (243, 242, 244), (214, 140, 180), (232, 214, 226)
SIDE, MPP = 500, 4.0


def slide(colour=PINK):
    """Glass with a disc of tissue of 120 px radius at the centre, and a little noise."""
    pixels = np.full((SIDE, SIDE, 3), GLASS, np.uint8)
    cv2.circle(pixels, (250, 250), 120, colour, -1)
    noise = np.random.default_rng(0).normal(0, 2, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def disc():
    mask = np.zeros((SIDE, SIDE), np.uint8)
    return cv2.circle(mask, (250, 250), 120, 1, -1).astype(bool)


def overlap(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize("colour", [PINK, FAINT, (120, 80, 150)])
def test_tissue_is_found_from_faint_to_dark(colour):
    assert overlap(tissue_mask(slide(colour), MPP), disc()) > 0.95


@pytest.mark.parametrize(
    "pen", [(20, 140, 60), (30, 50, 190), (25, 25, 25), (200, 30, 40)], ids=["green", "blue", "black", "red"]
)
def test_ink_is_not_tissue_and_does_not_hide_it(pen):
    pixels = slide()
    cv2.line(pixels, (20, 20), (480, 60), pen, 14)
    cv2.circle(pixels, (60, 420), 40, pen, -1)
    mask = tissue_mask(pixels, MPP)
    assert overlap(mask, disc()) > 0.9
    assert mask[385:456, 25:96].mean() < 0.1


def test_glass_alone_dust_and_dark_edges_are_empty():
    pixels = slide(GLASS)
    for spot in np.random.default_rng(1).integers(30, 470, (30, 2)):
        cv2.circle(pixels, tuple(int(value) for value in spot), 2, (150, 90, 120), -1)
    pixels[:, :25] = (30, 28, 30)
    assert tissue_mask(pixels, MPP).mean() < 0.001


def test_small_holes_are_filled_and_lumens_stay():
    pixels = slide()
    cv2.circle(pixels, (200, 250), 5, GLASS, -1)
    cv2.circle(pixels, (300, 250), 30, GLASS, -1)
    mask = tissue_mask(pixels, MPP)
    assert mask[250, 200] and not mask[250, 300]


def test_a_black_picture_has_no_tissue():
    assert not tissue_mask(np.zeros((50, 50, 3), np.uint8), MPP).any()
