"""Instances of one patch against the truth: panoptic quality, Dice, aggregated Jaccard index, detection.

Every score rests on one table of the pixels that each true and each predicted instance share (:class:`Overlaps`), never on a loop
over pairs of instances. What is 0/0, as in a patch without nuclei, is 0.0; the CoNIC challenge's scoring comes to the same with
its 1e-6 in the denominators, which is left out here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MATCH_IOU = 0.5
"""Instances match above it, not at it; as instances do not overlap, none has two matches (Kirillov et al. 2019)."""

MAX_IN_TABLE = 1 << 22
"""Ids, or pairs of them, that are counted in a table; larger ones are sorted instead. 4 Mi counts are 32 MiB."""


def fraction(part: float, whole: float) -> float:
    """``part / whole``, and 0.0 for 0/0."""
    return part / whole if whole else 0.0


def _numbered(instances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers 0 to n (H, W) int32 in the order of the ids, 0 staying 0, and the ids (n,) that they stand for."""
    if instances.ndim != 2 or instances.dtype.kind not in "ui":
        raise ValueError(f"an instance map is (H, W) of whole numbers, not {instances.shape} of {instances.dtype}")
    if instances.size == 0:
        return np.zeros(instances.shape, np.int32), np.zeros(0, np.int64)
    if int(instances.min()) < 0:
        raise ValueError(f"the instance map holds {instances.min()}; ids are 1 and up, 0 is background")
    highest = int(instances.max())
    if highest >= MAX_IN_TABLE:
        ids, inverse = np.unique(instances, return_inverse=True)
        with_background = int(ids[0] == 0)
        return (inverse.reshape(instances.shape) + 1 - with_background).astype(np.int32), ids[with_background:]
    present = np.zeros(highest + 1, bool)
    present[instances] = True
    present[0] = False
    return present.cumsum(dtype=np.int32)[instances], np.flatnonzero(present)


def relabel(instances: np.ndarray) -> np.ndarray:
    """``instances`` (H, W) with ids 1 to n in their old order, int32; 0 stays background.

    Raises:
        ValueError: for another shape, for floats, or for a negative id.
    """
    return _numbered(instances)[0]


def _pairs(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and count of each pair that occurs, ordered by row, then column; (pairs,) each."""
    keys = rows.astype(np.int64) * width + columns
    if height * width <= MAX_IN_TABLE:
        counts = np.bincount(keys, minlength=1)
        occurring = np.flatnonzero(counts)
        return occurring // width, occurring % width, counts[occurring]
    occurring, counts = np.unique(keys, return_counts=True)
    return occurring // width, occurring % width, counts


@dataclass(frozen=True)
class Overlaps:
    """Areas in px of n true and m predicted instances, and the ``pixels`` of every pair of them that shares any.

    ``true_ids`` (n,) and ``predicted_ids`` (m,) ascend; ``true_index`` and ``predicted_index`` (pairs,) point into them.
    """

    true_ids: np.ndarray
    predicted_ids: np.ndarray
    true_areas: np.ndarray
    predicted_areas: np.ndarray
    true_index: np.ndarray
    predicted_index: np.ndarray
    pixels: np.ndarray

    @classmethod
    def of(cls, true: np.ndarray, predicted: np.ndarray) -> Overlaps:
        """Count two instance maps (H, W).

        Raises:
            ValueError: when they differ in shape, or one is not an instance map.
        """
        if true.shape != predicted.shape:
            raise ValueError(f"the truth is {true.shape} and the prediction {predicted.shape}; they must be of one patch")
        (rows, true_ids), (columns, predicted_ids) = _numbered(true), _numbered(predicted)
        n, m = len(true_ids), len(predicted_ids)
        both = (rows > 0) & (columns > 0)
        return cls(
            true_ids,
            predicted_ids,
            np.bincount(rows.ravel(), minlength=n + 1)[1:],
            np.bincount(columns.ravel(), minlength=m + 1)[1:],
            *_pairs(rows[both] - 1, columns[both] - 1, n, max(m, 1)),
        )

    @property
    def unions(self) -> np.ndarray:
        """(pairs,) px in either instance."""
        return self.true_areas[self.true_index] + self.predicted_areas[self.predicted_index] - self.pixels

    @property
    def ious(self) -> np.ndarray:
        """(pairs,) intersection over union."""
        return np.asarray(self.pixels / self.unions)


@dataclass(frozen=True)
class Matches:
    """Ids and IoU of the instances that match, (matches,) each, and how many instances there are on either side."""

    true_ids: np.ndarray
    predicted_ids: np.ndarray
    ious: np.ndarray
    true_count: int
    predicted_count: int


def match(true: np.ndarray, predicted: np.ndarray) -> Matches:
    """Pairs of IoU > 0.5 between two instance maps (H, W). Raises as :meth:`Overlaps.of`."""
    pairs = Overlaps.of(true, predicted)
    ious = pairs.ious
    chosen = ious > MATCH_IOU
    true_ids, predicted_ids = pairs.true_ids[pairs.true_index[chosen]], pairs.predicted_ids[pairs.predicted_index[chosen]]
    return Matches(true_ids, predicted_ids, ious[chosen], len(pairs.true_ids), len(pairs.predicted_ids))


@dataclass(frozen=True)
class PatchScore:
    """Matched, surplus and missed instances, and the sum of IoU over the matches (Kirillov et al. 2019)."""

    tp: int
    fp: int
    fn: int
    iou_sum: float

    @property
    def dq(self) -> float:
        """Detection quality TP / (TP + FP/2 + FN/2), which is the F1 of detection."""
        return fraction(self.tp, self.tp + 0.5 * self.fp + 0.5 * self.fn)

    @property
    def sq(self) -> float:
        """Segmentation quality, the mean IoU of the matches."""
        return fraction(self.iou_sum, self.tp)

    @property
    def pq(self) -> float:
        """Panoptic quality DQ · SQ."""
        return self.dq * self.sq


def score(true: np.ndarray, predicted: np.ndarray) -> PatchScore:
    """Score two instance maps (H, W), of any class. Raises as :meth:`Overlaps.of`."""
    matches = match(true, predicted)
    tp = len(matches.ious)
    return PatchScore(tp, matches.predicted_count - tp, matches.true_count - tp, float(matches.ious.sum()))


def _checked(labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Instance numbers (H, W) int32 and classes (H, W)."""
    if labels.ndim != 3 or labels.shape[2] != 2:
        raise ValueError(f"a label map is (H, W, 2), instance and class, not {labels.shape}")
    numbers, kinds = relabel(labels[..., 0]), labels[..., 1]
    if kinds.size and not 0 <= int(kinds.min()) <= int(kinds.max()) <= classes:
        raise ValueError(f"the label map's classes run from {kinds.min()} to {kinds.max()}; there are {classes}, 0 is background")
    return numbers, kinds


def _parts(labels: np.ndarray, classes: int) -> np.ndarray:
    """(H, W) ids of instance × class, from which ``id % (classes + 1)`` is the class; 0 where either is background."""
    numbers, kinds = _checked(labels, classes)
    return np.where((numbers > 0) & (kinds > 0), numbers.astype(np.int64) * (classes + 1) + kinds, 0)


def score_classes(true: np.ndarray, predicted: np.ndarray, classes: int) -> list[PatchScore]:
    """One score for each class 1 to ``classes``, of label maps (H, W, 2) of instance and class.

    As in the CoNIC challenge (Graham et al. 2024), the instances of class k are the instance map where the class map is k:
    a nucleus found with another class is missed in its own and surplus in the other. Of an instance with pixels of two classes,
    each part is an instance of its class.

    Raises:
        ValueError: when the maps differ in shape, or hold another class.
    """
    pairs = Overlaps.of(_parts(true, classes), _parts(predicted, classes))
    ours, theirs = pairs.true_ids % (classes + 1), pairs.predicted_ids % (classes + 1)
    ious, kinds = pairs.ious, ours[pairs.true_index]
    chosen = (ious > MATCH_IOU) & (kinds == theirs[pairs.predicted_index])
    tp, n, m = (np.bincount(each, minlength=classes + 1) for each in (kinds[chosen], ours, theirs))
    sums = np.bincount(kinds[chosen], ious[chosen], classes + 1)
    return [PatchScore(int(tp[k]), int(m[k] - tp[k]), int(n[k] - tp[k]), float(sums[k])) for k in range(1, classes + 1)]


@dataclass(frozen=True)
class Dice:
    """Foreground px in both maps and in each (Dice 1945)."""

    both: int
    true: int
    predicted: int

    @property
    def value(self) -> float:
        """2·both / (true + predicted)."""
        return fraction(2 * self.both, self.true + self.predicted)


def dice(true: np.ndarray, predicted: np.ndarray) -> Dice:
    """Dice's parts for two masks (H, W) of bool.

    Raises:
        ValueError: when they differ in shape or are not masks.
    """
    if true.shape != predicted.shape or not true.dtype == predicted.dtype == bool:
        shapes = f"{true.shape} {true.dtype} and {predicted.shape} {predicted.dtype}"
        raise ValueError(f"Dice takes two masks of one shape, not {shapes}")
    return Dice(int(np.count_nonzero(true & predicted)), int(np.count_nonzero(true)), int(np.count_nonzero(predicted)))


@dataclass(frozen=True)
class Aji:
    """Px summed over instances: intersections, and unions with what is unmatched on either side."""

    intersection: int
    union: int

    @property
    def value(self) -> float:
        """Intersection over union."""
        return fraction(self.intersection, self.union)


def aji(true: np.ndarray, predicted: np.ndarray) -> Aji:
    """Aggregated Jaccard index's parts (Kumar et al. 2017) for two instance maps (H, W).

    Each true instance goes with the predicted one of highest IoU, the lower id among equals, however small the IoU; one that
    touches none adds its area to the union, and so does each prediction that was best for none. A prediction that is best for
    two true instances is taken with both, its area in both unions, as in Kumar's definition: the order of ids changes nothing.

    Raises:
        ValueError: as for :meth:`Overlaps.of`.
    """
    pairs = Overlaps.of(true, predicted)
    order = np.lexsort((pairs.predicted_index, -pairs.ious, pairs.true_index))
    touched, first = np.unique(pairs.true_index[order], return_index=True)
    best = order[first]
    untouched, unmatched = np.ones(len(pairs.true_ids), bool), np.ones(len(pairs.predicted_ids), bool)
    untouched[touched] = False
    unmatched[pairs.predicted_index[best]] = False
    unions = pairs.unions[best].sum() + pairs.true_areas[untouched].sum() + pairs.predicted_areas[unmatched].sum()
    return Aji(int(pairs.pixels[best].sum()), int(unions))


@dataclass(frozen=True)
class Detection:
    """Nuclei of any class, matched: ``confusion`` (K, K) of true by predicted class, and how many are unmatched, (K,) each."""

    confusion: np.ndarray
    false_negatives: np.ndarray
    false_positives: np.ndarray

    def f1(self) -> np.ndarray:
        """(K,) F1 of finding a class's nuclei as that class; found with another class they count as both errors.

        As long as an instance has one class it is the DQ of :func:`score_classes`, on counts summed over patches as well.
        """
        both = 2 * self.confusion.diagonal()
        total = self.confusion.sum(1) + self.false_negatives + self.confusion.sum(0) + self.false_positives
        return np.divide(both, total, out=np.zeros(len(total)), where=total > 0)


def _kinds(labels: np.ndarray, classes: int) -> np.ndarray:
    """(n,) class of each instance, in the order of the ids."""
    numbers, kinds = _checked(labels, classes)
    inside = numbers > 0
    n = int(numbers.max(initial=0))
    owners, instance_kinds, _ = _pairs(numbers[inside] - 1, kinds[inside].astype(np.int64), n, classes + 1)
    if len(owners) > n or (instance_kinds == 0).any():
        raise ValueError("an instance of the label map has pixels of two classes or of none; it needs exactly one")
    return instance_kinds


def detect(true: np.ndarray, predicted: np.ndarray, classes: int) -> Detection:
    """Match label maps (H, W, 2) of any class at IoU > 0.5, then compare the classes 1 to ``classes``.

    Raises:
        ValueError: when the maps differ in shape, hold another class, or an instance has not exactly one.
    """
    ours, theirs = _kinds(true, classes) - 1, _kinds(predicted, classes) - 1
    pairs = Overlaps.of(true[..., 0], predicted[..., 0])
    chosen = pairs.ious > MATCH_IOU
    cells = ours[pairs.true_index[chosen]] * classes + theirs[pairs.predicted_index[chosen]]
    confusion = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
    n, m = (np.bincount(each, minlength=classes) for each in (ours, theirs))
    return Detection(confusion, n - confusion.sum(1), m - confusion.sum(0))
