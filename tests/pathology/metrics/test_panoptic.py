"""Scores of instances: by hand, by loops over pairs of pixel sets, at the edges, and what is refused."""

import numpy as np
import pytest
from pathology.metrics.panoptic import Aji, Dice, Overlaps, PatchScore, aji, detect, dice, match, relabel, score, score_classes

CLASSES = 3
EMPTY = np.zeros((8, 8), np.uint16)


def strip(*runs, width=40):
    """(1, width) instance map of ``(id, first, last + 1)`` runs: areas and overlaps can be read off."""
    row = np.zeros((1, width), np.uint16)
    for number, start, stop in runs:
        row[0, start:stop] = number
    return row


def labelled(instances, kinds):
    """Label map (H, W, 2) from a map and the class of each id."""
    classes = np.zeros_like(instances)
    for number, kind in kinds.items():
        classes[instances == number] = kind
    return np.stack([instances, classes], axis=-1)


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
    found = detect(true, predicted, CLASSES)
    assert found.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert (found.missed.tolist(), found.surplus.tolist()) == ([0, 0, 0], [0, 0, 1])
    assert found.f1() == pytest.approx([2 / (2 + 0 + 1), 2 / (2 + 1 + 0), 0], abs=1e-12)
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
        found = detect(*labels, CLASSES)
        assert found.confusion.shape == (3, 3)
        assert (found.confusion.sum(), found.missed.sum(), found.surplus.sum()) == (0, counts[2], counts[1])
        assert found.f1().tolist() == [0.0, 0.0, 0.0]
    assert score(one, one) == PatchScore(1, 0, 0, 1.0)
    assert (score(one, one).pq, aji(one, one).value, dice(one > 0, one > 0).value) == (1.0, 1.0, 1.0)


def test_ids_keep_their_order_and_their_names():
    instances = np.array([[0, 65535, 65535], [3, 0, 700]], np.uint16)
    assert relabel(instances).tolist() == [[0, 3, 3], [1, 0, 2]]
    assert relabel(instances).dtype == np.int32
    found = match(instances, np.array([[0, 9, 9], [65535, 0, 0]], np.uint16))
    assert list(zip(found.true_ids, found.predicted_ids, found.ious, strict=True)) == [(3, 65535, 1.0), (65535, 9, 1.0)]
    assert (found.true_count, found.predicted_count) == (3, 2)
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


# Against loops over pairs of pixel sets


def random_pair(generator, height=44, width=37):
    """Two label maps that partly agree: discs that paint over each other (and so may fall in pieces), moved, dropped, retyped."""
    rows, columns = np.mgrid[:height, :width]
    true, predicted = np.zeros((height, width, 2), np.uint16), np.zeros((height, width, 2), np.uint16)
    ids = generator.choice(np.arange(1, 65536), 40, replace=False)
    ids[0] = 65535
    for index in range(generator.integers(0, 15)):
        y, x, radius = generator.uniform(0, height), generator.uniform(0, width), generator.uniform(1, 7)
        kind = generator.integers(1, CLASSES + 1)
        if generator.random() > 0.15:
            true[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = ids[index], kind
        if generator.random() > 0.15:
            y, x, radius = y + generator.normal(0, 0.8), x + generator.normal(0, 0.8), radius * generator.uniform(0.8, 1.2)
            kind = kind if generator.random() > 0.25 else generator.integers(1, CLASSES + 1)
            predicted[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = ids[39 - index], kind
    return true, predicted


def pixel_sets(labels, kind=None):
    """{id: set of pixels}, of one class or of any."""
    found = {}
    for y, line in enumerate(labels.tolist()):
        for x, (number, here) in enumerate(line):
            if number and (kind is None or here == kind):
                found.setdefault(number, set()).add((y, x))
    return found


def slow_matches(true, predicted):
    """Triples of true id, predicted id and IoU, every pair looked at."""
    triples = []
    for a, ours in true.items():
        for b, theirs in predicted.items():
            iou = len(ours & theirs) / len(ours | theirs)
            if iou > 0.5:
                triples.append((a, b, iou))
    return triples


def slow_pq(true, predicted):
    """DQ, SQ, PQ with what is 0/0 as 0."""
    ious = [iou for _, _, iou in slow_matches(true, predicted)]
    halves = len(true) + len(predicted)
    dq = 2 * len(ious) / halves if halves else 0
    sq = sum(ious) / len(ious) if ious else 0
    return dq, sq, dq * sq


def slow_aji(true, predicted):
    top = bottom = 0
    used = set()
    for ours in true.values():
        best, chosen = 0.0, None
        for b in sorted(predicted):
            iou = len(ours & predicted[b]) / len(ours | predicted[b])
            if iou > best:
                best, chosen = iou, b
        if chosen is None:
            bottom += len(ours)
        else:
            top += len(ours & predicted[chosen])
            bottom += len(ours | predicted[chosen])
            used.add(chosen)
    bottom += sum(len(pixels) for b, pixels in predicted.items() if b not in used)
    return top / bottom if bottom else 0


def slow_f1(true, predicted, kind):
    """Of detection: matched whatever the class; right if both are ``kind``."""

    def class_of(labels, pixels):
        (found,) = {int(labels[pixel][1]) for pixel in pixels}
        return found

    ours, theirs = pixel_sets(true), pixel_sets(predicted)
    right = sum(class_of(true, ours[a]) == class_of(predicted, theirs[b]) == kind for a, b, _ in slow_matches(ours, theirs))
    n, m = (sum(class_of(labels, p) == kind for p in sets.values()) for labels, sets in ((true, ours), (predicted, theirs)))
    return 2 * right / (n + m) if n + m else 0


def test_two_hundred_random_maps_by_loops():
    generator = np.random.default_rng(0)
    seen = {"match": 0, "retyped": 0, "empty": 0}
    for _ in range(200):
        true, predicted = random_pair(generator)
        ours, theirs = pixel_sets(true), pixel_sets(predicted)
        got = score(true[..., 0], predicted[..., 0])
        assert (got.dq, got.sq, got.pq) == pytest.approx(slow_pq(ours, theirs), abs=1e-9)
        found = match(true[..., 0], predicted[..., 0])
        triples = zip(found.true_ids.tolist(), found.predicted_ids.tolist(), found.ious.tolist(), strict=True)
        assert sorted(triples) == sorted(slow_matches(ours, theirs))  # the same division, so the same to the last bit
        assert aji(true[..., 0], predicted[..., 0]).value == pytest.approx(slow_aji(ours, theirs), abs=1e-9)
        a, b = set().union(*ours.values()), set().union(*theirs.values())
        expected = 2 * len(a & b) / (len(a) + len(b)) if a or b else 0
        assert dice(true[..., 0] > 0, predicted[..., 0] > 0).value == pytest.approx(expected, abs=1e-9)
        detection = detect(true, predicted, CLASSES)
        for k, one in enumerate(score_classes(true, predicted, CLASSES), start=1):
            assert (one.dq, one.sq, one.pq) == pytest.approx(slow_pq(pixel_sets(true, k), pixel_sets(predicted, k)), abs=1e-9)
            assert detection.f1()[k - 1] == pytest.approx(slow_f1(true, predicted, k), abs=1e-9)
            assert detection.f1()[k - 1] == pytest.approx(one.dq, abs=1e-12)  # the identity that the docstring claims
        assert detection.confusion.sum() == got.tp
        assert (detection.missed.sum(), detection.surplus.sum()) == (got.fn, got.fp)
        seen["match"] += got.tp
        seen["retyped"] += got.tp - int(detection.confusion.trace())
        seen["empty"] += not ours or not theirs
    assert min(seen["match"], seen["retyped"], seen["empty"]) > 5, seen


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


def test_swapping_truth_and_prediction_swaps_misses_and_surplus():
    generator = np.random.default_rng(2)
    for _ in range(20):
        true, predicted = random_pair(generator)
        there, back = score(true[..., 0], predicted[..., 0]), score(predicted[..., 0], true[..., 0])
        assert (there.tp, there.fp, there.fn) == (back.tp, back.fn, back.fp)
        assert there.iou_sum == pytest.approx(back.iou_sum, abs=1e-12)


def test_overlaps_add_up():
    true, predicted = random_pair(np.random.default_rng(8))
    found = Overlaps.of(true[..., 0], predicted[..., 0])
    assert found.true_areas.sum() == (true[..., 0] > 0).sum()
    assert found.predicted_areas.sum() == (predicted[..., 0] > 0).sum()
    assert found.pixels.sum() == ((true[..., 0] > 0) & (predicted[..., 0] > 0)).sum()


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
