"""Nuclei found by their middles alone: worked by hand."""

import numpy as np
import pytest
from pathology.metrics.centroids import centroids, paired, paired_by_class


def labels_of(*nuclei, side=60):
    """(side, side, 2) of squares of 5 px: class, row and column of the middle."""
    labels = np.zeros((side, side, 2), np.uint16)
    for number, (kind, row, column) in enumerate(nuclei, 1):
        labels[row - 2 : row + 3, column - 2 : column + 3] = number * 3, kind
    return labels


def test_middles_and_classes_of_instances():
    points, kinds = centroids(labels_of((2, 10, 20), (1, 30, 40)))
    assert points.tolist() == [[10, 20], [30, 40]] and kinds.tolist() == [2, 1]
    points, kinds = centroids(np.zeros((8, 8, 2), np.uint16))
    assert points.shape == (0, 2) and kinds.shape == (0,)


def test_an_instance_has_the_class_of_most_of_its_pixels():
    labels = labels_of((1, 10, 10))
    labels[8:10, 8:13, 1] = 2  # 10 of its 25 px
    assert centroids(labels)[1].tolist() == [1]


@pytest.mark.parametrize(("apart", "pairs"), [(6.0, 1), (6.01, 0)])
def test_the_radius_itself_is_near_enough(apart, pairs):
    assert paired(np.zeros((1, 2)), np.array([[0, apart]]), 6) == pairs


def test_pairs_are_one_to_one_and_as_many_as_can_be():
    """On a line: true at 0 and 10, outlined at 8 and 14. Nearest first would pair 10 with 8 and leave 0 and 14 alone (14 apart)."""
    true, predicted = np.array([[0.0, 0], [0, 10]]), np.array([[0.0, 8], [0, 14]])
    assert paired(true, predicted, 8) == 2
    assert paired(true, predicted, 7.9) == 1
    assert paired(true[:1], np.array([[0.0, 1], [0, 2]]), 8) == 1
    assert paired(true, np.zeros((0, 2)), 8) == 0 and paired(np.zeros((0, 2)), predicted, 8) == 0


def test_a_far_nucleus_takes_nobodys_partner():
    """Of all distances the least sum is 12.5 + 12.5 with no pair within 12; 5 + 20 has one."""
    true, predicted = np.array([[0.0, 0], [0, 17.5]]), np.array([[0.0, 5], [0, 37.5]])
    assert paired(true, predicted, 12) == 1
    true, predicted = np.array([[0.0, 0], [0, 12.4]]), np.array([[0.0, 12.4], [12.2, 12.4]])
    assert paired(true, predicted, 12.3) == 1


def test_each_class_is_paired_alone_and_last_all_of_them():
    """The first is found as its class, 4 px off; the second as another class on the spot; the third is 9 px off; one is made up."""
    true = labels_of((1, 10, 10), (2, 10, 40), (2, 40, 10))
    predicted = labels_of((1, 10, 14), (1, 10, 40), (2, 40, 19), (2, 50, 50))
    assert paired_by_class(true, predicted, 3, (6, 12)).tolist() == [[1, 1], [0, 1], [0, 0], [2, 3]]
