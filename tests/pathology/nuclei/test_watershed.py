"""Post-processing undoes target building, from maps as true and as bad as a network's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pathology.contracts.errors import DataError, RequestError
from pathology.metrics.panoptic import score
from pathology.nuclei.targets import distance_maps
from pathology.nuclei.watershed import WatershedParams, in_order, instances
from scipy import ndimage


def true_maps(instance_map):
    return (instance_map > 0).astype(np.float32), distance_maps(instance_map)


def noisy(nucleus, distances, generator, amount):
    noise = generator.normal(0, amount, (3, *nucleus.shape)).astype(np.float32)
    return np.clip(nucleus + noise[0], 0, 1), distances + noise[1:]


def blurred(nucleus, distances, pixels):
    return ndimage.gaussian_filter(nucleus, pixels), ndimage.gaussian_filter(distances, (0, pixels, pixels))


def mean_quality(real_labels, spoil):
    return np.mean([
        score(instance_map := labels[..., 0].astype(np.int32), instances(*spoil(*true_maps(instance_map)))).pq for labels in real_labels
    ])  # fmt: skip


def test_true_maps_of_real_patches_give_their_nuclei(real_labels):
    assert mean_quality(real_labels, lambda *maps: maps) >= 0.99


@pytest.mark.parametrize(("amount", "at_least"), [(0.1, 0.99), (0.2, 0.98), (0.3, 0.95)])
def test_noise_costs_little(real_labels, amount, at_least):
    generator = np.random.default_rng(0)
    assert mean_quality(real_labels, lambda *maps: noisy(*maps, generator, amount)) >= at_least


@pytest.mark.parametrize(("pixels", "at_least"), [(1, 0.98), (2, 0.94), (3, 0.87)])
def test_soft_maps_cost_little(real_labels, pixels, at_least):
    assert mean_quality(real_labels, lambda *maps: blurred(*maps, pixels)) >= at_least


def test_half_precision_will_do(real_labels):
    assert mean_quality(real_labels, lambda *maps: [values.astype(np.float16) for values in maps]) >= 0.99


def test_what_lies_outside_nuclei_in_the_distance_maps_does_not_matter(real_labels):
    instance_map = real_labels[2, :, :, 0].astype(np.int32)
    nucleus, distances = true_maps(instance_map)
    for wild in (-50, 50):
        result = instances(nucleus, np.where(instance_map > 0, distances, np.float32(wild)))
        assert score(instances(nucleus, distances), result).pq >= 0.99  # not 1: holes that are filled take part


def test_two_touching_discs_come_apart_where_they_touch():
    rows, columns = np.ogrid[:40, :60]
    instance_map = ((rows - 20) ** 2 + (columns - 20) ** 2 <= 100).astype(np.int32)
    instance_map[(rows - 20) ** 2 + (columns - 39) ** 2 <= 90] = 2
    assert ndimage.label(instance_map)[1] == 1
    result = instances(*true_maps(instance_map))
    assert result.max() == 2
    assert score(instance_map, result).sq > 0.95


def test_a_nucleus_without_a_marker_is_still_one():
    instance_map = np.zeros((20, 20), np.int32)
    instance_map[3, 2:14] = 1  # flat across: nothing rises there
    instance_map[10:16, 10:16] = 2
    result = instances(*true_maps(instance_map))
    assert result[3, 2:14].tolist() == [1] * 12
    assert result.max() == 2


def test_specks_go_holes_close_and_openings_stay():
    nucleus = np.zeros((40, 40), np.float32)
    nucleus[5:25, 5:25] = 1
    nucleus[14:16, 14:16] = 0  # a hole of 4 px
    nucleus[30:33, 30:33] = 1  # 9 px
    nucleus[5:10, 5] = 0  # a notch at the rim
    result = instances(nucleus, distance_maps((nucleus > 0).astype(int)))
    assert result[14, 14] == 1
    assert (result[30:33, 30:33] == 0).all()
    assert (result[5:10, 5] == 0).all()
    open_hole = np.ones((20, 20), np.float32)
    open_hole[0, 3:6] = 0
    assert instances(open_hole, np.zeros((2, 20, 20), np.float32))[0, 4] == 0


def test_numbers_follow_reading_order():
    labels = np.array([[0, 9, 9, 4], [7, 0, 9, 4]])
    assert in_order(labels).tolist() == [[0, 1, 1, 2], [3, 0, 1, 2]]
    assert in_order(np.zeros((2, 2), int)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 30), (30, 1), (5, 7)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_tiny_uniform_pictures(height, width, value):
    result = instances(np.full((height, width), value), np.zeros((2, height, width)))
    assert result.dtype == np.int32
    assert (result == (value == 1 and height * width >= WatershedParams().smallest)).all()


@given(st.integers(1, 90), st.integers(1, 70), st.integers(0, 10_000), st.integers(1, 3_000), st.floats(0, 0.4))
@settings(max_examples=80)
def test_bands_change_nothing_and_each_nucleus_is_one_piece(draw_nuclei, height, width, seed, band_pixels, amount):
    maps = noisy(*true_maps(draw_nuclei(height, width, seed)), np.random.default_rng(seed), amount)
    whole = instances(*maps)
    np.testing.assert_array_equal(instances(*maps, band_pixels=band_pixels), whole)
    for number in range(1, whole.max() + 1):
        assert (whole == number).sum() >= WatershedParams().smallest
        assert ndimage.label(whole == number)[1] == 1


@pytest.mark.parametrize("rows_at_once", [1, 12, 25, 40, 59])
def test_bands_hold_tall_components_beside_short_ones(rows_at_once):
    instance_map = np.zeros((60, 40), np.int32)
    for number, (top, end, left) in enumerate([(0, 20, 0), (1, 8, 10), (4, 36, 20), (10, 14, 10), (22, 57, 0), (30, 34, 30)], 1):
        instance_map[top:end, left : left + 6] = number
    result = instances(*true_maps(instance_map), band_pixels=rows_at_once * 40)
    np.testing.assert_array_equal(result, in_order(instance_map))


GOOD = np.zeros((8, 8), np.float32)
MAPS = np.zeros((2, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("nucleus", "distances", "words"),
    [
        (GOOD, MAPS[:, :7], "give \\(H, W\\)"),
        (GOOD[None], MAPS, "give \\(H, W\\)"),
        (GOOD[:0], MAPS[:, :0], "give \\(H, W\\)"),
        (GOOD, MAPS[:1], "give \\(H, W\\)"),
        (GOOD.astype(int), MAPS, "floating-point"),
        (GOOD, MAPS.astype(int), "floating-point"),
        (GOOD.astype(object), MAPS, "floating-point"),
        (np.where(np.eye(8) > 0, np.nan, GOOD), MAPS, "nucleus map: holds NaN"),
        (GOOD, np.where(np.eye(8) > 0, np.inf, MAPS), "distance maps: holds NaN or infinity"),
        (GOOD + 3, MAPS, "probabilities and not logits"),
        (GOOD - 1, MAPS, "probabilities and not logits"),
    ],
)
def test_refusals(nucleus, distances, words):
    with pytest.raises(DataError, match=words) as refusal:
        instances(nucleus, distances)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0}, {"threshold": 1}, {"smoothing": 0}, {"smoothing": 99}, {"smallest": 0}, {"largest_hole": -1}]
)
def test_parameters_check_themselves(wrong):
    with pytest.raises(RequestError, match="watershed parameters"):
        WatershedParams(**wrong)
