"""The class of each nucleus by its px, and counts."""

import numpy as np
import pytest
from pathology.contracts.errors import DataError
from pathology.nuclei.classes import class_counts, classify, instance_classes, label_map
from pathology.nuclei.counts import central_counts
from pathology.nuclei.targets import distance_maps


def test_majority_ties_and_the_background_without_a_vote():
    # Nucleus 1: two px for class 2, one surer px for class 1. Nucleus 2: a tie, larger sum for class 2. Nucleus 3: all the same.
    instance_map = np.array([[1, 1, 1, 2, 2, 3, 0]])
    background = [0.6, 0.9, 0.0, 0.0, 0.0, 0.8, 0.0]
    first = [0.1, 0.0, 1.0, 0.6, 0.2, 0.1, 0.0]
    second = [0.3, 0.1, 0.0, 0.4, 0.8, 0.1, 1.0]
    probabilities = np.array([background, first, second])[:, None]
    assert classify(instance_map, probabilities).tolist() == [2, 2, 1]


def test_no_nuclei_no_classes():
    assert classify(np.zeros((4, 5), np.int32), np.zeros((3, 4, 5))).shape == (0,)


def test_by_loop(draw_nuclei):
    generator = np.random.default_rng(0)
    instance_map = draw_nuclei(80, 80)
    probabilities = generator.dirichlet(np.ones(7), size=instance_map.shape).transpose(2, 0, 1).astype(np.float32)
    result = classify(instance_map, probabilities)
    for number in np.unique(instance_map)[1:]:
        pixels = probabilities[1:, instance_map == number].astype(float)
        votes = np.bincount(pixels.argmax(0), minlength=6)
        best = max(range(6), key=lambda kind: (votes[kind], pixels[kind].sum()))
        assert result[number - 1] == best + 1


@pytest.mark.parametrize("classes", [1, 2, 6])
def test_true_maps_give_the_true_label_map(real_labels, classes):
    truth = real_labels[3].astype(np.int64)
    truth[..., 1] = np.minimum(truth[..., 1], classes)
    one_hot = (truth[..., 1] == np.arange(classes + 1)[:, None, None]).astype(np.float16)
    instance_map = truth[..., 0]
    labels = label_map((instance_map > 0).astype(np.float32), distance_maps(instance_map), one_hot)
    assert labels.shape == (256, 256, 2)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels[..., 1] > 0, labels[..., 0] > 0)
    assert (labels[..., 1] == truth[..., 1]).mean() > 0.995
    assert class_counts(labels, classes).tolist() == class_counts(truth, classes).tolist()


def test_counts_are_those_of_the_whole_patch(real_labels):
    for labels in real_labels:
        assert class_counts(labels, 2).tolist() == central_counts(labels, 2, side=256).tolist()


def test_ids_and_classes():
    labels = np.zeros((2, 4, 2), np.uint16)
    labels[0, :2] = 9, 2
    labels[1, 3] = 4, 1
    ids, kinds = instance_classes(labels, 2)
    assert ids.tolist() == [4, 9]
    assert kinds.tolist() == [1, 2]
    assert class_counts(labels, 3).tolist() == [1, 1, 0]
    assert class_counts(np.zeros((2, 2, 2), int), 2).tolist() == [0, 0]


def labels_of(*pixels):
    return np.array([pixels])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (labels_of((1, 1), (1, 2)), "nucleus 1 has two classes"),
        (labels_of((1, 0)), "no class from 1 to 6"),
        (labels_of((1, 7)), "no class from 1 to 6"),
        (labels_of((-1, 1)), "negative id"),
        (labels_of((1.0, 1.0)), "float64"),
        (np.zeros((4, 4), int), "shape"),
        (np.zeros((4, 4, 3), int), "shape"),
        (np.zeros((4, 4, 2), object), "object"),
    ],
)
def test_refused_labels(labels, words):
    with pytest.raises(DataError, match=words) as refusal:
        instance_classes(labels, 6)
    assert "\n" not in str(refusal.value)


def test_refused_class_maps():
    instance_map = np.ones((4, 4), np.int32)
    for wrong in (np.zeros((3, 4, 5)), np.zeros((4, 4)), np.zeros((1, 4, 4))):
        with pytest.raises(DataError, match="class maps"):
            classify(instance_map, wrong)
    with pytest.raises(DataError, match="class maps: hold NaN"):
        classify(instance_map, np.full((3, 4, 4), np.nan))
