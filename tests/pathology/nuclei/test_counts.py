"""Counting in the centre: any pixel inside counts, as the real counts.csv shows."""

import csv

import numpy as np
import pytest
from pathology.nuclei.counts import central_counts, centre

CENTROID, ANY = "centroid", "any"


def labelled(*nuclei, side=256):
    """Labels (side, side, 2) with rectangles (top, bottom, left, right, class)."""
    labels = np.zeros((side, side, 2), np.uint16)
    for number, (top, bottom, left, right, kind) in enumerate(nuclei, start=1):
        labels[top:bottom, left:right] = number, kind
    return labels


def test_any_pixel_inside_counts():
    labels = labelled(
        (10, 17, 100, 110, 1),  # one row, 16, inside
        (0, 16, 50, 60, 1),  # ends at row 15
        (239, 256, 50, 60, 2),  # row 239 is the last inside
        (240, 256, 100, 110, 2),
        (100, 110, 0, 17, 3),
        (120, 130, 240, 256, 3),
        (100, 110, 100, 110, 3),
    )
    assert central_counts(labels, 4).tolist() == [1, 1, 2, 0]
    assert central_counts(labels, 4, side=256).tolist() == [2, 2, 3, 0]
    assert central_counts(labels, 3, side=10).tolist() == [0, 0, 0]


def test_a_patch_smaller_than_the_centre_counts_whole():
    labels = labelled((0, 3, 0, 3, 1), (60, 64, 60, 64, 2), side=64)
    assert central_counts(labels, 2).tolist() == [1, 1] and centre(labels).shape == labels.shape


def test_nothing_there_and_classes_out_of_range():
    assert central_counts(np.zeros((256, 256, 2), np.uint16), 6).tolist() == [0] * 6
    labels = labelled((50, 60, 50, 60, 7), (70, 80, 70, 80, 0), (90, 99, 90, 99, 6)).astype(np.int32)
    assert central_counts(labels, 6).tolist() == [0, 0, 0, 0, 0, 1]


def test_ids_need_not_be_contiguous():
    labels = labelled((50, 60, 50, 60, 1), (70, 80, 70, 80, 1)).astype(np.int64)
    labels[labels[..., 0] == 2, 0] = 2_000_000_000
    assert central_counts(labels, 1).tolist() == [2]


def by_rule(labels, classes, rule):
    """The counts when a nucleus counts by ``rule`` on its rows and columns, slowly."""
    counts = np.zeros(classes, int)
    for number in range(1, labels[..., 0].max() + 1):
        rows, columns = np.nonzero(labels[..., 0] == number)
        if rule == CENTROID:
            rows, columns = rows.mean(keepdims=True), columns.mean(keepdims=True)
        inside = (rows >= 16) & (rows < 240) & (columns >= 16) & (columns < 240)
        counts[labels[labels[..., 0] == number][0, 1] - 1] += inside.any()
    return counts.tolist()


@pytest.fixture(scope="module")
def real(shared_data):
    folder = shared_data / "nuclei"
    if not folder.is_dir():
        pytest.skip("real nuclei are absent")
    with (folder / "counts.csv").open(newline="") as file:
        counts = [[int(value) for value in line] for line in list(csv.reader(file))[1:]]
    return np.load(folder / "labels.npy", mmap_mode="r", allow_pickle=False), counts


def test_the_real_counts_are_of_any_pixel_inside_and_not_of_the_centroid(real):
    labels, counts = real
    assert [central_counts(patch, 2).tolist() for patch in labels] == counts
    assert [by_rule(patch, 2, ANY) for patch in labels] == counts
    assert sum(by_rule(patch, 2, CENTROID) == row for patch, row in zip(labels, counts, strict=True)) == 1
