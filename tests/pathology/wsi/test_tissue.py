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


def drawn(pixels, ink, colour, soft):
    """``ink`` (H, W) 0 or 1 written over the slide with edges as soft as a real stroke's."""
    cover = cv2.GaussianBlur(ink.astype(np.float32), (0, 0), soft)[..., None]
    return (pixels * (1 - cover) + np.array(colour) * cover).astype(np.uint8)


def textured(colour):
    """``slide`` with the tissue as uneven as tissue is."""
    pixels, noise = slide(colour).astype(np.float32), np.random.default_rng(2).normal(size=(SIDE, SIDE))
    pixels[disc()] += (cv2.GaussianBlur(noise, (0, 0), 1.5)[disc()] * 70)[:, None] * (1.0, 1.2, 0.7)
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "pen",
    [(20, 140, 60), (120, 190, 140), (30, 50, 190), (90, 120, 210), (25, 25, 25), (70, 70, 75), (200, 30, 40), (225, 60, 80)],
    ids=["green", "pale green", "blue", "pale blue", "black", "pale black", "red", "pale red"],
)
def test_strokes_beside_and_across_tissue_leave_the_rest_of_it(pen):
    ink = np.zeros((SIDE, SIDE), np.uint8)
    cv2.line(ink, (20, 20), (480, 60), 1, 14)
    cv2.circle(ink, (60, 420), 40, 1, 6)
    cv2.line(ink, (150, 250), (350, 250), 1, 10)
    mask = tissue_mask(drawn(textured(PINK), ink, pen, 1.2), MPP)
    away = cv2.dilate(ink, np.ones((9, 9), np.uint8)) == 0
    assert overlap(mask & away, disc() & away) > 0.97
    assert mask[(ink > 0) & ~disc()].mean() < 0.03
    assert mask[(ink > 0) & disc()].mean() < 0.4  # the stroke's rims are tissue


@pytest.mark.parametrize("colour", [(232, 214, 226), (236, 224, 233), (238, 214, 222)])
def test_faint_tissue_is_found_however_uneven(colour):
    assert overlap(tissue_mask(textured(colour), MPP), disc()) > 0.95


@pytest.mark.parametrize("glass", [(250, 250, 250), GLASS, (230, 225, 215), (215, 220, 225), (240, 240, 228)])
def test_glass_under_any_lamp_is_empty_and_tissue_on_it_is_found(glass):
    noise = np.random.default_rng(4).normal(0, 1.5, (SIDE, SIDE, 3))
    pixels = np.clip(np.full((SIDE, SIDE, 3), glass) + noise, 0, 255).astype(np.uint8)
    assert tissue_mask(pixels, MPP).mean() < 0.001
    pixels[disc()] = textured(PINK)[disc()]
    assert overlap(tissue_mask(pixels, MPP), disc()) > 0.95


@pytest.mark.parametrize("frame", [(0, 0, 0), (40, 38, 42), (90, 88, 92), (105, 108, 104)])
@pytest.mark.parametrize("soft", [0.1, 2])
def test_the_scanners_frame_is_not_tissue(frame, soft):
    edge = np.ones((SIDE, SIDE), np.uint8)
    edge[20:-30, 25:-10] = 0
    noise = np.random.default_rng(5).normal(0, 2, (SIDE, SIDE, 3))
    framed = np.clip(drawn(textured(PINK), edge, frame, soft) + noise, 0, 255).astype(np.uint8)
    mask = tissue_mask(framed, MPP)
    assert overlap(mask, disc()) > 0.97 and mask[edge > 0].mean() < 0.01
    empty = np.clip(drawn(slide(GLASS), edge, frame, soft) + noise, 0, 255).astype(np.uint8)
    assert tissue_mask(empty, MPP).mean() < 0.005


@pytest.mark.parametrize("dust", [(60, 50, 45), (20, 20, 20), (150, 90, 120), (60, 90, 160)])
def test_dust_is_not_tissue_and_makes_no_hole_in_it(dust):
    pixels = textured(PINK)
    for x, y in np.random.default_rng(1).integers(10, 490, (60, 2)).tolist():
        cv2.circle(pixels, (x, y), 1 + x % 2, dust, -1)
    mask = tissue_mask(pixels, MPP)
    around = cv2.dilate(disc().astype(np.uint8), np.ones((21, 21), np.uint8)) > 0
    assert overlap(mask, disc()) > 0.97 and not (mask & ~around).any()
    assert cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)[0] == 2  # glass, and no hole
