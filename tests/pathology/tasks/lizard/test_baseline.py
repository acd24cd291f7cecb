"""The simple thing that reports set beside the model: what it is fitted to, by hand, and that it finds painted nuclei."""

from types import SimpleNamespace

import numpy as np
import pytest
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from pathology.nuclei.counts import central_counts
from pathology.tasks.lizard import baseline
from pathology.tasks.lizard.scores import NucleiScores


class Arrays:
    """Some of the patches of a folder in CoNIC's layout, each of a source image of its own, as :class:`Nuclei` gives them."""

    def __init__(self, folder, chosen):
        self.images, self.labels = (np.load(folder / f"{name}.npy", mmap_mode="r")[chosen] for name in ("images", "labels"))
        self.rows = [SimpleNamespace(name=f"s{n}-0", source=f"s{n}") for n in range(len(self.images))]

    def __len__(self):
        return len(self.images)

    def image(self, index):
        return np.array(self.images[index])

    def __getitem__(self, index):
        return self.image(index), np.array(self.labels[index])


def test_the_threshold_is_the_one_of_best_dice():
    """Of four bins: above the first edge Dice is 2·9/(9 + 19), above the second 2·8/(9 + 10), above the third 2·4/(9 + 5)."""
    outside, inside = np.zeros((2, len(baseline.EDGES) - 1), int)
    outside[:4], inside[:4] = [8, 8, 1, 1], [0, 1, 4, 4]
    assert baseline.best_threshold(outside, inside) == baseline.EDGES[2]
    assert baseline.best_threshold(np.zeros_like(outside), np.zeros_like(inside)) == baseline.EDGES[0]


def test_lines_are_least_squares():
    areas, counts = np.array([0.0, 1, 2, 5]), np.array([[1, 4], [3, 4], [5, 4], [11, 4]])
    slopes, offsets = baseline.lines(areas, counts)
    assert slopes == pytest.approx([2, 0]) and offsets == pytest.approx([1, 4])
    noisy = np.array([[3], [1], [4], [1]])
    slopes, offsets = baseline.lines(areas, noisy)
    assert [slopes[0], offsets[0]] == pytest.approx(np.polyfit(areas, noisy[:, 0], 1))
    slopes, offsets = baseline.lines(np.full(4, 7.0), noisy)
    assert (slopes[0], offsets[0]) == (0, 2.25)


def test_counts_are_whole_and_never_below_nothing():
    image = np.full((32, 32, 3), 255, np.uint8)
    image[:8] = 60, 30, 110  # 256 px of dye
    simple = baseline.StainBaseline(0.05, 1, np.array([0.02, -1.0]), np.array([0.4, 3.0]), 1, 1)
    assert simple.counts(image).tolist() == [round(0.02 * 256 + 0.4), 0]


def test_touching_discs_are_divided_and_noise_is_none():
    rows, columns = np.mgrid[:60, :60]
    mask = np.zeros((60, 60), bool)
    for y, x in ((15, 15), (15, 28), (45, 40)):
        mask |= (rows - y) ** 2 + (columns - x) ** 2 <= 64
    mask[55, 5] = mask[57:59, 20:22] = True
    numbers = baseline.divided(mask)
    assert sorted(np.unique(numbers)) == [0, 1, 2, 3]
    assert len({numbers[15, 15], numbers[15, 28], numbers[45, 40]} - {0}) == 3
    assert not baseline.divided(np.zeros((20, 20), bool)).any()


def test_painted_nuclei_are_found_and_all_are_of_the_commonest_class(conic_folder):
    half = len(np.load(conic_folder / "labels.npy", mmap_mode="r")) // 2
    train, test = Arrays(conic_folder, slice(half)), Arrays(conic_folder, slice(half, None))
    simple = baseline.fit(train, len(LIZARD_CLASSES))
    totals = sum(central_counts(labels, 6, 256) for labels in train.labels)
    assert simple.kind == totals.argmax() + 1 and (simple.patches, simple.sources) == (half, half)
    rows = list(baseline.outline(simple, test, LIZARD_CLASSES))
    scores = NucleiScores.of(rows, LIZARD_CLASSES, resamples=100, confidence=0.95, seed=0)
    assert scores.intervals["dice"].value > 0.6 and scores.intervals["bpq"].value > 0.25
    assert {row.class_name for row in rows if row.tp + row.fp} == {LIZARD_CLASSES[simple.kind - 1], "all"}
    for row in (row for row in rows if row.class_name == "all"):
        assert row.predicted_count == simple.counts(test.image(int(row.source[1:]))).sum()


def test_of_many_patches_some_are_fitted_on_evenly(conic_folder, monkeypatch):
    monkeypatch.setattr(baseline, "MAX_FITTED", 3)
    train = Arrays(conic_folder, slice(5))
    read = []
    train.image = lambda index: (read.append(index), np.array(train.images[index]))[1]
    simple = baseline.fit(train, len(LIZARD_CLASSES))
    assert simple.patches == 3 and sorted(set(read)) == [0, 2, 4]
