"""Statistics of what a model learns from: exact, the same in any order, and a new item's distance means something."""

import math

import numpy as np
import pytest
from pathology.contracts.colours import COLOURS
from pathology.contracts.drift import SHRINKAGE


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(7)
    return rng.normal(1e3, 10.0 ** rng.uniform(-3, 2, 12), (5000, 12))


@pytest.mark.parametrize("batch", [1, 97, 5000])
def test_moments_are_those_of_two_passes_in_any_order_and_batches(vectors, batch):
    from pathology.training.drift import RunningMoments

    shuffled = vectors[np.random.default_rng(batch).permutation(len(vectors))]
    running = RunningMoments(12)
    for start in range(0, len(shuffled), batch):
        running.add(shuffled[start : start + batch])
    assert running.n == len(vectors)
    np.testing.assert_allclose(running.mean, vectors.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(np.sqrt(running.variance), vectors.std(axis=0, ddof=1), rtol=1e-9)


def test_the_same_items_in_another_order_are_the_same_file(vectors):
    from pathology.training.drift import reference

    assert reference(vectors[:200]) == reference(vectors[:200][::-1])


def test_a_distance_is_of_each_item_against_all_others(vectors):
    """By the definition, each item left out in turn."""
    from pathology.training.drift import reference

    few, expected = vectors[:9], []
    for left in range(len(few)):
        rest = np.delete(few, left, axis=0)
        variance = rest.var(axis=0, ddof=1)
        shrunk = (1 - SHRINKAGE) * variance + SHRINKAGE * variance.mean()
        expected.append(math.sqrt(np.mean((few[left] - rest.mean(axis=0)) ** 2 / shrunk)))
    found = reference(few).distance
    np.testing.assert_allclose(found.values, np.quantile(expected, found.levels), rtol=1e-5)


@pytest.mark.parametrize("few", [np.ones((2, 3)), np.array([[1.0], [1.0], [2.0]])])
def test_where_there_is_no_distance_it_is_null(few):
    from pathology.training.drift import reference

    assert reference(few).distance is None and reference(few).mean is not None


def test_a_constant_has_distance_zero_from_itself():
    from pathology.training.drift import reference

    same = reference(np.full((5, 3), 0.1))
    assert set(same.distance.values) == {0} and same.distances(np.full((1, 3), 0.1)).tolist() == [0]
    assert np.isinf(same.distances(np.full((1, 3), 0.2))).all()


def test_colours_are_exact_whatever_the_batches():
    from pathology.colours import ColourSums, colours_of

    picture = np.random.default_rng(1).integers(0, 256, (64, 48, 3), np.uint8)
    sums = ColourSums()
    for part in np.array_split(picture, 7)[::-1]:
        sums.add(part)
    assert sums.numbers() == colours_of(picture)
    pixels = picture.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(colours_of(picture), [*pixels.mean(axis=0), *pixels.std(axis=0)], rtol=1e-12)
    assert colours_of(np.full((3, 5, 3), 255, np.uint8)) == (255, 255, 255, 0, 0, 0)


def test_a_stain_shift_lies_beyond_what_training_items_reach():
    from pathology.colours import colours_of
    from pathology.training.drift import colours

    def stained(number, scale=1.0):
        rng = np.random.default_rng(number)
        base = np.array([190, 130, 180]) + rng.normal(0, 6, 3)
        return np.clip(scale * rng.normal(base, 25 + rng.normal(0, 2, 3), (48, 48, 3)), 0, 255).astype(np.uint8)

    made = colours([colours_of(stained(number)) for number in range(150)], "patches", "all")
    assert made.unknown == 0 and tuple(made.quantiles) == COLOURS
    limit = made.reference.distance.values[-1]
    held_out = np.array([colours_of(stained(number)) for number in range(1000, 1060)])
    shifted = np.array([colours_of(stained(number, 0.75)) for number in range(1000, 1060)])
    assert np.mean(made.reference.distances(held_out) <= limit) > 0.9
    assert (made.reference.distances(shifted) > limit).all()


def test_unknown_colours_are_counted():
    from pathology.training.drift import colours

    made = colours([None, (1, 2, 3, 4, 5, 6), None], "slides", "some")
    assert (made.unknown, made.reference.n) == (2, 1)
    nothing = colours([None], "slides", "some")
    assert (nothing.unknown, nothing.reference, nothing.quantiles) == (1, None, None)


def test_what_is_drawn_is_the_seeds():
    from pathology.training.drift import MAX_ITEMS, drawn

    assert drawn(5, 0).tolist() == [0, 1, 2, 3, 4]
    many = drawn(3 * MAX_ITEMS, 1)
    assert len(set(many.tolist())) == MAX_ITEMS and (np.diff(many) > 0).all()
    assert (many == drawn(3 * MAX_ITEMS, 1)).all() and not (many == drawn(3 * MAX_ITEMS, 2)).all()
