"""Distance maps against a loop over nuclei with fractions, and where a division by zero would hide."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pathology.contracts.errors import DataError
from pathology.nuclei.targets import distance_maps


def by_loop(instances):
    """One nucleus, one px, one exact fraction at a time."""
    maps = np.zeros((2, *instances.shape), np.float32)
    for number in set(instances.ravel().tolist()) - {0}:
        rows, columns = (values.tolist() for values in np.nonzero(instances == number))
        for target, coordinates in ((maps[0], columns), (maps[1], rows)):
            centre = Fraction(sum(coordinates), len(coordinates))
            before, after = centre - min(coordinates), max(coordinates) - centre
            for row, column, coordinate in zip(rows, columns, coordinates, strict=True):
                offset = coordinate - centre
                if offset:
                    target[row, column] = offset / (before if offset < 0 else after)
    return maps


@given(arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2, 7, 2_000_000_000])))
@settings(max_examples=150)
def test_equals_the_loop(instances):
    np.testing.assert_allclose(distance_maps(instances), by_loop(instances), rtol=1e-6, atol=0)


def test_equals_the_loop_on_a_real_patch(real_labels):
    instances = real_labels[0, :, :, 0]
    maps = distance_maps(instances)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, by_loop(instances), rtol=1e-6, atol=0)


def test_worked_by_hand():
    # An L: columns 0, 0, 0, 1, rows 0, 1, 2, 2. The centre is x = 1/4, y = 5/4.
    instances = np.array([[5, 0], [5, 0], [5, 5]])
    horizontal, vertical = distance_maps(instances)
    np.testing.assert_allclose(horizontal, [[-1, 0], [-1, 0], [-1, 1]])
    np.testing.assert_allclose(vertical, np.array([[-1, 0], [-1 / 5, 0], [1, 1]]), rtol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 100])
def test_a_line_is_zero_across_and_one_at_its_ends(length):
    with np.errstate(all="raise"):
        horizontal, vertical = distance_maps(np.full((1, length), 3))
    assert (vertical == 0).all()
    np.testing.assert_allclose(horizontal[0], np.linspace(-1, 1, length) if length > 1 else [0], atol=1e-6)


def test_every_nucleus_reaches_both_ends(draw_nuclei):
    instances = draw_nuclei(120, 90)
    maps = distance_maps(instances)
    assert (maps[:, instances == 0] == 0).all()
    for number in np.unique(instances)[1:]:
        inside = maps[:, instances == number]
        for values in inside:
            assert (values.min(), values.max()) in {(-1, 1), (0, 0)}


def test_no_nuclei_no_distances():
    assert (distance_maps(np.zeros((3, 4), np.uint16)) == np.zeros((2, 3, 4))).all()


def test_mirrored_nuclei_have_mirrored_maps(draw_nuclei):
    instances = draw_nuclei(64, 64, seed=3)
    horizontal, vertical = distance_maps(instances)
    np.testing.assert_array_equal(distance_maps(instances[:, ::-1]), [-horizontal[:, ::-1], vertical[:, ::-1]])
    np.testing.assert_array_equal(distance_maps(instances.T), [vertical.T, horizontal.T])


@pytest.mark.parametrize(
    ("instances", "words"),
    [(np.zeros((3, 3, 2), int), "shape"), (np.zeros((3, 3)), "float64"), (np.full((2, 2), -1), "negative id -1")],
)
def test_refusals(instances, words):
    with pytest.raises(DataError, match=words) as refusal:
        distance_maps(instances)
    assert "\n" not in str(refusal.value)
