"""Tiles are level px averaged over the area that each covers, whatever the factor."""

import cv2
import numpy as np
import pytest
from pathology.wsi.resampling import area_weights, resample

SIDES = [448.0, 443.2, 243.478, 300.2, 226.2, 896.3]


@pytest.mark.parametrize("side", [*SIDES, 215.4])
def test_resampling_is_exact_for_sides_that_are_not_whole(side):
    whole = int(np.ceil(side))
    ramp = np.repeat(np.linspace(0, 250, whole)[None, :, None], whole, axis=0).repeat(3, axis=2).astype(np.uint8)
    tile = resample(ramp, side, 224)
    assert tile.shape == (224, 224, 3)
    expected = ((np.arange(224) + 0.5) * side / 224 - 0.5) * 250 / (whole - 1)
    assert np.abs(tile[100, :, 0] - expected).max() < 1.5
    assert abs(float((tile[100, :, 0] - expected).mean())) < 0.7  # the ramp itself was floored


@pytest.mark.parametrize("side", SIDES)
def test_each_px_is_the_mean_of_the_area_that_it_covers(side):
    """By hand: the integral of a picture of constant px, between the new px's edges."""
    length = int(np.ceil(side))
    picture = np.random.default_rng(0).integers(0, 256, (length, length, 3), dtype=np.uint8)
    sums = np.pad(picture.astype(float), ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    edges = np.arange(225) * side / 224
    for axis in (0, 1):
        below = np.minimum(edges.astype(int), length - 1)
        part = (edges - below).reshape(-1, *(1,) * (2 - axis))
        sums = np.take(sums, below, axis) * (1 - part) + np.take(sums, below + 1, axis) * part
    means = np.diff(np.diff(sums, axis=0), axis=1) / (side / 224) ** 2
    tile = resample(picture, side, 224)
    assert np.abs(tile - means).max() < 0.501
    theirs = cv2.resize(picture, None, fx=224 / side, fy=224 / side, interpolation=cv2.INTER_AREA)[:224, :224]
    assert (np.abs(tile.astype(int) - theirs).max(), (tile != theirs).mean()) < (2, 1e-3)


def test_weights_are_parts_of_px_and_sum_to_one():
    assert np.allclose(area_weights(2.5, 2, 3).toarray(), [[0.8, 0.2, 0], [0, 0.6, 0.4]])


def test_a_part_of_a_region_is_resampled_as_it_would_be_alone():
    """Regions are cut, not copied, so that their rows do not follow one another."""
    picture = np.random.default_rng(0).integers(0, 256, (444, 1000, 3), dtype=np.uint8)
    cut = picture[:, 300:744]
    assert np.array_equal(resample(cut, 443.2, 224), resample(cut.copy(), 443.2, 224))


def test_what_is_less_than_half_a_px_off_is_not_blurred():
    picture = np.random.default_rng(0).integers(0, 256, (225, 225, 3), dtype=np.uint8)
    assert np.array_equal(resample(picture, 224.4, 224), picture[:224, :224])
