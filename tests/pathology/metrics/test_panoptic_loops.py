"""Scores of instances against loops over pairs of pixel sets, on random maps."""

import numpy as np
import pytest
from label_maps import CLASSES, random_pair
from pathology.metrics.panoptic import Overlaps, aji, detect, dice, match, score, score_classes


def pixel_sets(labels, kind=None):
    """{id: set of pixels}, of one class or of any."""
    sets = {}
    for y, line in enumerate(labels.tolist()):
        for x, (number, here) in enumerate(line):
            if number and (kind is None or here == kind):
                sets.setdefault(number, set()).add((y, x))
    return sets


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
    """Of detection: matched, of any class; right if both are ``kind``."""

    def class_of(labels, pixels):
        (single,) = {int(labels[pixel][1]) for pixel in pixels}
        return single

    ours, theirs = pixel_sets(true), pixel_sets(predicted)
    right = sum(class_of(true, ours[a]) == class_of(predicted, theirs[b]) == kind for a, b, _ in slow_matches(ours, theirs))
    n, m = (sum(class_of(labels, p) == kind for p in sets.values()) for labels, sets in ((true, ours), (predicted, theirs)))
    return 2 * right / (n + m) if n + m else 0


@pytest.mark.slow
def test_two_hundred_random_maps_by_loops():
    generator = np.random.default_rng(0)
    cases = {"match": 0, "retyped": 0, "empty": 0}
    for _ in range(200):
        true, predicted = random_pair(generator)
        ours, theirs = pixel_sets(true), pixel_sets(predicted)
        got = score(true[..., 0], predicted[..., 0])
        assert (got.dq, got.sq, got.pq) == pytest.approx(slow_pq(ours, theirs), abs=1e-9)
        matches = match(true[..., 0], predicted[..., 0])
        triples = zip(matches.true_ids.tolist(), matches.predicted_ids.tolist(), matches.ious.tolist(), strict=True)
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
        assert (detection.false_negatives.sum(), detection.false_positives.sum()) == (got.fn, got.fp)
        cases["match"] += got.tp
        cases["retyped"] += got.tp - int(detection.confusion.trace())
        cases["empty"] += not ours or not theirs
    assert min(cases["match"], cases["retyped"], cases["empty"]) > 5, cases


def test_swapping_truth_and_prediction_swaps_false_negatives_and_positives():
    generator = np.random.default_rng(2)
    for _ in range(20):
        true, predicted = random_pair(generator)
        there, back = score(true[..., 0], predicted[..., 0]), score(predicted[..., 0], true[..., 0])
        assert (there.tp, there.fp, there.fn) == (back.tp, back.fn, back.fp)
        assert there.iou_sum == pytest.approx(back.iou_sum, abs=1e-12)


def test_overlaps_add_up():
    true, predicted = random_pair(np.random.default_rng(8))
    overlaps = Overlaps.of(true[..., 0], predicted[..., 0])
    assert overlaps.true_areas.sum() == (true[..., 0] > 0).sum()
    assert overlaps.predicted_areas.sum() == (predicted[..., 0] > 0).sum()
    assert overlaps.pixels.sum() == ((true[..., 0] > 0) & (predicted[..., 0] > 0)).sum()
