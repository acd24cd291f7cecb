"""Scores of nuclei over test patches, by class and over all, with intervals by source image.

The conventions, each as its source has it:

- ``bpq``, ``dice``, ``aji``: of the instance map, nuclei of any class, on each patch, then the mean over patches. A patch with nuclei
  neither in truth nor in prediction counts as 0, as in the CoNIC challenge's code; ``empty_patches`` says how many there are.
- ``mpq``: PQ on each patch and class whose truth has nuclei there, the mean over the classes of a patch, then over the patches
  that have any, as PanNuke's code (Gamper et al. 2020) comes to it.
- ``mpq_plus``, and ``pq``, ``dq``, ``sq`` of a class: TP, FN, FP and ΣIoU summed over all patches, then PQ; the mean over classes
  (Graham et al. 2024).
- ``detection_f1``: of nuclei of any class, summed over patches. A class's F1 needs the class right as well, and so is its DQ.
- ``r2``: of each class's counts in the central 224 px over patches, as scikit-learn's ``r2_score``: 1 or 0 where the true counts do
  not vary, by whether all are met. The mean over classes.

A class with no nucleus, neither in truth nor in prediction, has no score and is left out of means over classes (the challenge's
code would count it as 0; its six are all there). That goes for the whole test set, where it is None, and for each draw of the
bootstrap: a rare class's interval is over the draws that have it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.intervals import UNDEFINED, Interval, cluster_bootstrap
from pathology.contracts.lizard.evaluate import NucleiScoreRow
from pathology.contracts.lizard.patches import ALL_CLASSES
from pathology.metrics.panoptic import Aji, Dice, PatchScore, aji, dice, score, score_classes
from pathology.nuclei.counts import CENTRAL, central_counts

OVERALL = ("bpq", "dice", "aji", "detection_f1", "mpq", "mpq_plus", "r2")
OF_CLASS = ("pq", "dq", "sq", "r2")


def patch_rows(
    name: str, source: str, true: np.ndarray, predicted: np.ndarray, classes: Sequence[str], central: int = CENTRAL
) -> list[NucleiScoreRow]:
    """The rows of one patch: each of ``classes`` in order, then ``all``; from label maps (H, W, 2) of instance and class.

    Raises:
        ValueError: when the maps differ in shape, or hold a class beyond ``classes``.
    """
    scores = [*score_classes(true, predicted, len(classes)), score(true[..., 0], predicted[..., 0])]
    masks = [(true[..., 1] == k, predicted[..., 1] == k) for k in range(1, len(classes) + 1)]
    pixels = [dice(*pair) for pair in (*masks, (true[..., 0] > 0, predicted[..., 0] > 0))]
    jaccard = [*[Aji(0, 0)] * len(classes), aji(true[..., 0], predicted[..., 0])]
    ours, theirs = (central_counts(labels, len(classes), central) for labels in (true, predicted))
    return [
        NucleiScoreRow(
            patch=name,
            source=source,
            class_name=kind,
            tp=scores[k].tp,
            fp=scores[k].fp,
            fn=scores[k].fn,
            iou_sum=scores[k].iou_sum,
            pixels_both=pixels[k].both,
            pixels_true=pixels[k].true,
            pixels_predicted=pixels[k].predicted,
            aji_intersection=jaccard[k].intersection,
            aji_union=jaccard[k].union,
            true_count=int(ours.sum() if kind == ALL_CLASSES else ours[k]),
            predicted_count=int(theirs.sum() if kind == ALL_CLASSES else theirs[k]),
        )
        for k, kind in enumerate((*classes, ALL_CLASSES))
    ]


FIELDS = (
    *("patches", "tp", "fp", "fn", "iou_sum", "pq", "has", "dice", "aji", "count", "count_squared", "error_squared"),
    *("typed", "pq_typed"),
)
"""What is summed over patches, for each class and for ``all``: ``has``, whether the truth has any, without which PQ is 0;
``count``, true nuclei in the middle. Of ``all`` only: ``typed``, whether the truth has any class, and ``pq_typed``, the mean PQ of
those it has."""


def _fields(row: NucleiScoreRow) -> tuple[float, ...]:
    pq, has = PatchScore(row.tp, row.fp, row.fn, row.iou_sum).pq, row.tp + row.fn > 0
    overlap = Dice(row.pixels_both, row.pixels_true, row.pixels_predicted).value
    jaccard = Aji(row.aji_intersection, row.aji_union).value
    y, error = row.true_count, row.true_count - row.predicted_count
    return (1, row.tp, row.fp, row.fn, row.iou_sum, pq, has, overlap, jaccard, y, y**2, error**2, 0, 0)


def _table(rows: Sequence[NucleiScoreRow], classes: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """(patches, K + 1, fields) in the order of ``classes``, then ``all``, and the patches' sources.

    Raises:
        DataError: when a patch has not one row for each, or two sources.
    """
    if ALL_CLASSES in classes:
        raise DataError(f"a class is called {ALL_CLASSES!r}, which is the row of all nuclei; give it another name")
    kinds = {name: k for k, name in enumerate((*classes, ALL_CLASSES))}
    numbers = {name: n for n, name in enumerate(dict.fromkeys(row.patch for row in rows))}
    table = np.full((len(numbers), len(kinds), len(FIELDS)), np.nan)
    sources: dict[str, str] = {}
    for row in rows:
        cell = numbers[row.patch], kinds.get(row.class_name, -1)
        if cell[1] < 0 or not np.isnan(table[cell][0]):
            raise DataError(f"patch {row.patch}: {'a second' if cell[1] >= 0 else 'an unknown'} row {row.class_name!r}")
        if sources.setdefault(row.patch, row.source) != row.source:
            raise DataError(f"patch {row.patch}: it comes from {sources[row.patch]} and from {row.source}; name one source image")
        table[cell] = _fields(row)
    for name, n in numbers.items():
        absent = [kind for kind, k in kinds.items() if np.isnan(table[n, k, 0])]
        if absent:
            raise DataError(
                f"patch {name}: there is no row {absent[0]!r}; every patch has one for each class and {ALL_CLASSES!r}"
            )
    has, pq = table[:, :-1, FIELDS.index("has")].sum(axis=1), table[:, :-1, FIELDS.index("pq")].sum(axis=1)
    table[:, -1, FIELDS.index("typed")], table[:, -1, FIELDS.index("pq_typed")] = has > 0, _ratio(pq, has)
    return table, list(sources.values())


def _ratio(part: np.ndarray, whole: np.ndarray, empty: float = 0.0) -> np.ndarray:
    """``part / whole``, ``empty`` where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), empty, float), where=whole != 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis without what is NaN; NaN where all is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=-1))


def _measures(sums: np.ndarray) -> np.ndarray:
    """(n, K + 1, fields) sums to (n, measures): OVERALL, then OF_CLASS for each class."""
    part = {name: sums[..., index] for index, name in enumerate(FIELDS)}
    dq = _ratio(part["tp"], part["tp"] + 0.5 * part["fp"] + 0.5 * part["fn"])
    sq = _ratio(part["iou_sum"], part["tp"])
    present = (part["tp"] + part["fp"] + part["fn"])[:, :-1] > 0
    # Times the number of patches: counts are whole, and so whether they vary is told exactly.
    spread = part["patches"] * part["count_squared"] - part["count"] ** 2
    met = np.where(part["error_squared"] == 0, 1.0, 0.0)
    r2 = np.where(spread > 0, 1 - _ratio(part["patches"] * part["error_squared"], spread), met)
    of_class = np.stack([np.where(present, each[:, :-1], np.nan) for each in (dq * sq, dq, sq, r2)], axis=-1)
    patches = part["patches"][:, -1]
    overall = [
        *(part[name][:, -1] / patches for name in ("pq", "dice", "aji")),
        dq[:, -1],
        _ratio(part["pq_typed"], part["typed"], empty=np.nan)[:, -1],
        _mean(of_class[..., 0]),
        _mean(of_class[..., 3]),
    ]
    return np.concatenate([np.stack(overall, axis=-1), of_class.reshape(len(sums), -1)], axis=1)


def _by_source(values: np.ndarray, sources: Sequence[str]) -> np.ndarray:
    """(patches, …) summed within each source image, (sources, …)."""
    names, owners = np.unique(np.array(sources, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        raise DataError(f"the test patches come from {len(names)} source image; intervals are by source image and need two")
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, owners, values)
    return sums


@dataclass(frozen=True)
class ClassScores:
    """One class: nuclei in the patches, and in their central 224 px, and its scores; None for a class that is nowhere.

    ``f1`` of detection as the class is ``dq``: both are 2TP / (2TP + FP + FN).
    """

    true: int
    predicted: int
    true_central: int
    predicted_central: int
    pq: Interval | None
    dq: Interval | None
    sq: Interval | None
    r2: Interval | None

    @property
    def f1(self) -> Interval | None:
        """Detection F1 of the class."""
        return self.dq


@dataclass(frozen=True)
class NucleiScores:
    """``intervals`` by the names of OVERALL, ``by_class`` by class, and what they rest on."""

    patches: int
    sources: int
    empty_patches: int
    intervals: dict[str, Interval]
    by_class: dict[str, ClassScores]

    @classmethod
    def of(
        cls, rows: Sequence[NucleiScoreRow], classes: Sequence[str], *, resamples: int, confidence: float, seed: int
    ) -> NucleiScores:
        """Score the rows of predictions.csv, in any order.

        Raises:
            DataError: when a patch's rows are not each class and ``all`` once, when the truth has no nuclei, or when all patches
                come from one source image.
        """
        table, sources = _table(rows, classes)
        if not table[:, -1, FIELDS.index("typed")].any():
            raise DataError(f"the truth of the {len(table)} test patches has no nuclei of any class; there is nothing to score")
        sums = _by_source(table, sources)
        estimates = cluster_bootstrap(_measures, sums, resamples=resamples, confidence=confidence, seed=seed)
        overall, of_class = estimates[: len(OVERALL)], iter(estimates[len(OVERALL) :])
        counts = {kind: _counts(rows, kind) for kind in classes}
        nothing = table[:, -1, [FIELDS.index(name) for name in ("tp", "fp", "fn")]].sum(axis=1) == 0
        return cls(
            patches=len(table),
            sources=len(sums),
            empty_patches=int(nothing.sum()),
            intervals={name: each for name, each in zip(OVERALL, overall, strict=True) if each is not None},
            by_class={kind: ClassScores(*counts[kind], *(next(of_class) for _ in OF_CLASS)) for kind in classes},
        )


def _counts(rows: Sequence[NucleiScoreRow], kind: str) -> tuple[int, int, int, int]:
    of_kind = [row for row in rows if row.class_name == kind]
    whole = sum(row.tp + row.fn for row in of_kind), sum(row.tp + row.fp for row in of_kind)
    return (*whole, sum(row.true_count for row in of_kind), sum(row.predicted_count for row in of_kind))


MATCHED = ("accuracy", "weighted_precision", "weighted_recall", "weighted_f0_5", "weighted_f1", "weighted_f2")
"""Model Monitor's names for several classes."""


def _weighted(cells: np.ndarray) -> np.ndarray:
    """(n, K, K) of actual by predicted to (n, 6) in the order of MATCHED; NaN without any nucleus."""
    right = np.diagonal(cells, axis1=1, axis2=2)
    actual, called = cells.sum(axis=2), cells.sum(axis=1)
    total = actual.sum(axis=1)

    def over(values: np.ndarray) -> np.ndarray:
        return _ratio((values * actual).sum(axis=1), total, empty=np.nan)

    def f(beta: float) -> np.ndarray:
        return over(_ratio((1 + beta**2) * right, beta**2 * actual + called))

    accuracy = _ratio(right.sum(axis=1), total, empty=np.nan)
    return np.stack([accuracy, over(_ratio(right, called)), over(_ratio(right, actual)), f(0.5), f(1), f(2)], axis=1)


def matched_classification(
    confusions: np.ndarray, sources: Sequence[str], *, resamples: int, confidence: float, seed: int
) -> tuple[np.ndarray, dict[str, Interval]]:
    """How the nuclei that were found are typed: the confusion (K, K) of all patches, actual by predicted, and MATCHED of it.

    ``confusions`` (patches, K, K) are those of :func:`pathology.metrics.panoptic.detect`, ``sources`` the patches' source images.
    Means are weighted by actual nuclei, as Model Monitor's; precision and F of a class that nothing is called are 0.
    Without any match each is 0 with the interval 0 to 1, and draws without any are left out.

    Raises:
        DataError: when all patches come from one source image.
    """
    pooled = confusions.sum(axis=0)
    sums = _by_source(confusions, sources)
    if not pooled.any():
        return pooled, dict.fromkeys(MATCHED, Interval(0.0, 0.0, 1.0, 0.0, confidence, UNDEFINED))
    intervals = cluster_bootstrap(_weighted, sums, resamples=resamples, confidence=confidence, seed=seed)
    return pooled, {name: each for name, each in zip(MATCHED, intervals, strict=True) if each is not None}
