"""Scores of instances: by hand, at the edges, and what is refused."""

import numpy as np
import pytest
from label_maps import CLASSES, labelled, random_pair, strip
from pathology.metrics.panoptic import Aji, Dice, PatchScore, aji, detect, dice, match, relabel, score, score_classes

EMPTY = np.zeros((8, 8), np.uint16)


# By hand


def test_worked_patch():
    """Lengths 10 and 10 with 8 in common: IoU 8/12. Lengths 6 and 4 with 4 in common: IoU 4/6. One missed, two surplus."""
    true = strip((1, 0, 10), (2, 12, 18), (3, 20, 24))
    predicted = strip((1, 2, 12), (2, 12, 16), (3, 26, 28), (4, 30, 33))
    got = score(true, predicted)
    assert (got.tp, got.fp, got.fn) == (2, 2, 1)
    assert got.iou_sum == pytest.approx(8 / 12 + 4 / 6, abs=1e-12)
    assert got.dq == pytest.approx(2 / (2 + 0.5 * 2 + 0.5 * 1), abs=1e-12)  # 4/7
    assert got.sq == pytest.approx(2 / 3, abs=1e-12)
    assert got.pq == pytest.approx(4 / 7 * 2 / 3, abs=1e-12)  # 8/21
    # 20 true px, 19 predicted, 8 + 4 in both.
    assert dice(true > 0, predicted > 0) == Dice(both=12, true=20, predicted=19)
    assert dice(true > 0, predicted > 0).value == pytest.approx(24 / 39, abs=1e-12)
    # Intersections 8 + 4. Unions 12 + 6, the missed 4, the surplus 2 + 3.
    assert aji(true, predicted) == Aji(intersection=12, union=27)


def test_worked_classes():
    """Three nuclei are found exactly; 1 and 2 are of class 1, and 2 is called 2. 3, of class 2, is called so. 4 is made up."""
    instances = strip((1, 0, 4), (2, 5, 9), (3, 10, 14))
    true = labelled(instances, {1: 1, 2: 1, 3: 2})
    predicted = labelled(strip((1, 0, 4), (2, 5, 9), (3, 10, 14), (4, 20, 25)), {1: 1, 2: 2, 3: 2, 4: 3})
    assert score_classes(true, predicted, CLASSES) == [
        PatchScore(tp=1, fp=0, fn=1, iou_sum=1.0),
        PatchScore(tp=1, fp=1, fn=0, iou_sum=1.0),
        PatchScore(tp=0, fp=1, fn=0, iou_sum=0.0),
    ]
    detection = detect(true, predicted, CLASSES)
    assert detection.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert (detection.false_negatives.tolist(), detection.false_positives.tolist()) == ([0, 0, 0], [0, 0, 1])
    assert detection.f1() == pytest.approx([2 / (2 + 0 + 1), 2 / (2 + 1 + 0), 0], abs=1e-12)
    assert score(true[..., 0], predicted[..., 0]) == PatchScore(tp=3, fp=1, fn=0, iou_sum=3.0)


def test_an_iou_of_a_half_is_no_match_and_a_pixel_more_is():
    """6 and 6 px with 4 in common: 4/8. 7 and 6 with 5 in common: 5/8. 2 in 4: 2/4. 3 in 5: 3/5."""
    assert score(strip((1, 0, 6)), strip((1, 2, 8))) == PatchScore(0, 1, 1, 0.0)
    assert score(strip((1, 0, 7)), strip((1, 2, 8))).tp == 1
    assert score(strip((1, 0, 4)), strip((1, 0, 2))) == PatchScore(0, 1, 1, 0.0)
    assert score(strip((1, 0, 5)), strip((1, 0, 3))) == PatchScore(1, 0, 0, 3 / 5)


def test_an_instance_cut_in_two():
    """10 px predicted as 6 and 4: 6/10 matches, the rest is surplus. As 5 and 5 nothing does, and AJI takes the lower id."""
    true = strip((1, 0, 10))
    assert score(true, strip((1, 0, 6), (2, 6, 10))) == PatchScore(1, 1, 0, 0.6)
    assert aji(true, strip((1, 0, 6), (2, 6, 10))) == Aji(6, 10 + 4)
    assert score(true, strip((1, 0, 5), (2, 5, 10))) == PatchScore(0, 2, 1, 0.0)
    assert aji(true, strip((1, 0, 5), (2, 5, 10))) == Aji(5, 10 + 5)
    # One id in two pieces is one instance: 8 px, of which the prediction has 5.
    assert score(strip((1, 0, 5), (1, 20, 23)), strip((1, 0, 5))) == PatchScore(1, 0, 0, 5 / 8)


def test_aji_of_a_prediction_that_is_best_for_two():
    """14 px over two nuclei of 6 and 5: unions of 14 twice, intersections 6 and 5, no surplus."""
    assert aji(strip((1, 0, 6), (2, 8, 13)), strip((1, 0, 14))) == Aji(6 + 5, 14 + 14)


def test_aji_takes_the_best_overlap_however_small():
    """1 px of 10 in common with 3: union 12. The other prediction touches nothing: 4 more."""
    assert aji(strip((1, 0, 10)), strip((5, 9, 12), (7, 20, 24))) == Aji(1, 12 + 4)


def test_aji_of_two_that_fit_as_well():
    """10 px; 5 of them and 10 others have IoU 5/20, 3 of them and 2 others 3/12. The lower id is taken, the other is surplus."""
    true = strip((1, 15, 25))
    assert aji(true, strip((1, 5, 20), (2, 22, 27))) == Aji(5, 20 + 5)
    assert aji(true, strip((2, 5, 20), (1, 22, 27))) == Aji(3, 12 + 15)


# Edges


def test_nothing_in_truth_in_prediction_or_in_both():
    one = EMPTY.copy()
    one[2:5, 2:5] = 7
    for true, predicted, counts, union in ((EMPTY, one, (0, 1, 0), 9), (one, EMPTY, (0, 0, 1), 9), (EMPTY, EMPTY, (0, 0, 0), 0)):
        got = score(true, predicted)
        assert (got.tp, got.fp, got.fn) == counts
        assert (got.dq, got.sq, got.pq, got.iou_sum) == (0.0, 0.0, 0.0, 0.0)
        assert aji(true, predicted) == Aji(0, union)
        assert (aji(true, predicted).value, dice(true > 0, predicted > 0).value) == (0.0, 0.0)
        labels = [labelled(each, {7: 2}) for each in (true, predicted)]
        assert score_classes(*labels, CLASSES) == [PatchScore(0, 0, 0, 0.0), PatchScore(*counts, 0.0), PatchScore(0, 0, 0, 0.0)]
        detection = detect(*labels, CLASSES)
        assert detection.confusion.shape == (3, 3)
        assert (detection.confusion.sum(), detection.false_negatives.sum(), detection.false_positives.sum()) == (
            0,
            counts[2],
            counts[1],
        )
        assert detection.f1().tolist() == [0.0, 0.0, 0.0]
    assert score(one, one) == PatchScore(1, 0, 0, 1.0)
    assert (score(one, one).pq, aji(one, one).value, dice(one > 0, one > 0).value) == (1.0, 1.0, 1.0)


def test_ids_keep_their_order_and_their_names():
    instances = np.array([[0, 65535, 65535], [3, 0, 700]], np.uint16)
    assert relabel(instances).tolist() == [[0, 3, 3], [1, 0, 2]]
    assert relabel(instances).dtype == np.int32
    matches = match(instances, np.array([[0, 9, 9], [65535, 0, 0]], np.uint16))
    assert list(zip(matches.true_ids, matches.predicted_ids, matches.ious, strict=True)) == [(3, 65535, 1.0), (65535, 9, 1.0)]
    assert (matches.true_count, matches.predicted_count) == (3, 2)
    assert relabel(np.full((2, 2), 5, np.uint8)).tolist() == [[1, 1], [1, 1]]  # no background
    assert relabel(np.zeros((0, 4), int)).shape == (0, 4)


def test_more_ids_than_a_table_holds():
    """65,535 instances of 1 px, and ids of 40 bits: sorted instead of counted, with the same outcome."""
    many = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    others = np.where(many < 9, 0, many)
    assert score(many, many) == PatchScore(65535, 0, 0, 65535.0)
    assert score(many, others) == PatchScore(65527, 0, 8, 65527.0)
    assert aji(many, others) == Aji(65527, 65535)
    true, predicted = random_pair(np.random.default_rng(5))
    wide = predicted[..., 0].astype(np.int64) * 2**40
    assert score(true[..., 0], wide) == score(true[..., 0], predicted[..., 0])
    narrow_ids = match(true[..., 0], predicted[..., 0]).predicted_ids
    assert (match(true[..., 0], wide).predicted_ids == narrow_ids.astype(np.int64) * 2**40).all()
    assert len(narrow_ids) > 0
    assert (relabel(wide) == relabel(predicted[..., 0])).all()
    assert relabel(np.full((2, 2), 2**40)).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64])
def test_any_whole_numbers_will_do(kind):
    true, predicted = strip((1, 0, 6), (90, 8, 13)), strip((7, 0, 5))
    assert score(true.astype(kind), predicted) == score(true, predicted) == PatchScore(1, 0, 1, 5 / 6)


def test_instances_of_two_classes_count_as_their_parts():
    """Instance × (class = k), as the challenge: 8 px of which 5 are class 1 and 3 class 2; 2 more px have no class."""
    true = np.stack([strip((4, 0, 10)), strip((1, 0, 5), (2, 5, 8))], axis=-1)
    predicted = labelled(strip((9, 0, 4)), {9: 1})
    assert score_classes(true, predicted, 2) == [PatchScore(1, 0, 0, 4 / 5), PatchScore(0, 0, 1, 0.0)]
    with pytest.raises(ValueError, match="pixels of two classes or of none"):
        detect(true, predicted, 2)
    with pytest.raises(ValueError, match="pixels of two classes or of none"):
        detect(true[:, :8], predicted[:, :8], 2)
    assert detect(true[:, :5], predicted[:, :5], 2).confusion.tolist() == [[1, 0], [0, 0]]


# What is refused


@pytest.mark.parametrize(
    ("true", "predicted", "words"),
    [
        (np.zeros((4, 4)), np.zeros((4, 4)), "whole numbers, not .* of float64"),
        (np.zeros((4, 4, 2), int), np.zeros((4, 4, 2), int), r"not \(4, 4, 2\)"),
        (np.zeros((4, 4), int), np.zeros((4, 5), int), "of one patch"),
        (np.full((4, 4), -1), np.zeros((4, 4), int), "holds -1"),
        (np.zeros((4, 4), bool), np.zeros((4, 4), bool), "bool"),
    ],
)
def test_no_instance_maps(true, predicted, words):
    for scoring in (score, match, aji):
        with pytest.raises(ValueError, match=words):
            scoring(true, predicted)


def test_no_label_maps():
    good = labelled(strip((1, 0, 4)), {1: 1})
    for scoring in (score_classes, detect):
        with pytest.raises(ValueError, match="from 0 to 7; there are 6"):
            scoring(labelled(strip((1, 0, 4)), {1: 7}), good, 6)
        with pytest.raises(ValueError, match=r"\(H, W, 2\)"):
            scoring(good, good[..., 0], 6)
        with pytest.raises(ValueError, match="of one patch"):
            scoring(good, good[:, :-1], 6)
    with pytest.raises(ValueError, match="of none"):
        detect(labelled(strip((1, 0, 4)), {}), good, 6)
    with pytest.raises(ValueError, match="two masks"):
        dice(good[..., 0], good[..., 0])
    with pytest.raises(ValueError, match="one shape"):
        dice(good[..., 0] > 0, good[:, :-1, 0] > 0)
