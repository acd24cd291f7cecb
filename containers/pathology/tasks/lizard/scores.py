"""Scores of nuclei over test patches, by class and over all, with intervals by source image.

The conventions, each as its source has it:

- ``bpq``, ``dice``, ``aji``: of the instance map, nuclei of any class, on each patch, then the mean over patches. A patch with nuclei
  neither in truth nor in prediction counts as 0, as in the CoNIC challenge's code; ``empty_patches`` says how many there are.
- ``mpq``: PQ on each patch and class whose truth has nuclei there, the mean over the classes of a patch, then over the patches
  that have any, as PanNuke's code (Gamper et al. 2020) comes to it.
- ``mpq_plus``, and ``pq``, ``dq``, ``sq`` of a class: TP, FN, FP and ΣIoU summed over all patches, then PQ; the mean over classes
  (Graham et al. 2024).
- ``detection_f1``: of nuclei of any class, summed over patches. A class's F1 needs the class right as well, and so is its DQ.
- ``centroid_f1``: of nuclei of any class, or of one class alone, whose centroids are at most 12 px apart, one to one; ``centroid_f1_6``
  at most 6 px; see :mod:`pathology.metrics.centroids`.
- ``r2``: of each class's counts in the central 224 px over patches, as scikit-learn's ``r2_score``: 1 or 0 where the true counts do
  not vary, by whether all are met. The mean over classes.

A class with no nucleus, neither in truth nor in prediction, has no score and is left out of means over classes (the challenge's
code would count it as 0; its six are all there). That goes for the whole test set, where it is None, and for each draw of the
bootstrap: a rare class's interval is over the draws that have it. Of a class that fewer source images have than an interval needs,
there is none, and of R² there never is one: see :func:`pathology.contracts.intervals.clusters.cluster_bootstrap`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.intervals import Interval
from pathology.contracts.intervals.clusters import MIN_CLUSTERS, Spread, cluster_bootstrap
from pathology.contracts.lizard.evaluate import NucleiScoreRow
from pathology.tasks.lizard.images import of_images
from pathology.tasks.lizard.sums import FIELDS, by_source, present_in, ratio, table_of

OVERALL = ("bpq", "dice", "aji", "detection_f1", "centroid_f1", "mpq", "mpq_plus", "r2")
OF_CLASS = ("pq", "dq", "sq", "centroid_f1", "centroid_f1_6", "r2")
R2 = "r2"
"""Of which no method gives an interval: it is biased downwards in samples of source images."""


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis without what is NaN; NaN where all is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=-1))


def measures(sums: np.ndarray) -> np.ndarray:
    """(n, K + 1, fields) sums to (n, measures): OVERALL, then OF_CLASS for each class."""
    part = {name: sums[..., index] for index, name in enumerate(FIELDS)}
    dq = ratio(part["tp"], part["tp"] + 0.5 * part["fp"] + 0.5 * part["fn"])
    sq = ratio(part["iou_sum"], part["tp"])
    present = present_in(sums)[:, :-1]
    nuclei = 2 * part["tp"] + part["fp"] + part["fn"]
    near_12, near_6 = (ratio(2 * part[name], nuclei) for name in ("paired_12", "paired_6"))
    # Times the number of patches: counts are whole, and so whether they vary is told exactly.
    spread = part["patches"] * part["count_squared"] - part["count"] ** 2
    met = np.where(part["error_squared"] == 0, 1.0, 0.0)
    r2 = np.where(spread > 0, 1 - ratio(part["patches"] * part["error_squared"], spread), met)
    of_class = np.stack([np.where(present, each[:, :-1], np.nan) for each in (dq * sq, dq, sq, near_12, near_6, r2)], axis=-1)
    patches = part["patches"][:, -1]
    overall = [
        *(part[name][:, -1] / patches for name in ("pq", "dice", "aji")),
        dq[:, -1],
        near_12[:, -1],
        ratio(part["pq_typed"], part["typed"], empty=np.nan)[:, -1],
        _mean(of_class[..., 0]),
        _mean(of_class[..., OF_CLASS.index(R2)]),
    ]
    return np.concatenate([np.stack(overall, axis=-1), of_class.reshape(len(sums), -1)], axis=1)


def estimates_of(
    sums: np.ndarray, *, resamples: int, confidence: float, seed: int, least: int = MIN_CLUSTERS
) -> list[Interval | Spread | None]:
    """Of (sources, K + 1, fields) sums, the measures with their intervals in the order of :func:`measures`.

    Those in which fewer than ``least`` source images take part have none.
    """
    kinds = np.repeat(present_in(sums)[:, :-1], len(OF_CLASS), axis=1)
    names = (*OVERALL, *(OF_CLASS * (sums.shape[1] - 1)))
    return cluster_bootstrap(
        measures,
        sums,
        takes_part=np.concatenate([np.ones((len(sums), len(OVERALL)), bool), kinds], axis=1),
        covered=np.array([name != R2 for name in names]),
        least=least,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )


@dataclass(frozen=True)
class ClassScores:
    """One class: nuclei in the patches, and in their central 224 px, and its scores; None for a class that is nowhere.

    ``f1`` of detection as the class is ``dq``: both are 2TP / (2TP + FP + FN). ``count_error`` is the mean over patches of how far the
    count in the middle is from the true one, in nuclei.
    """

    true: int
    predicted: int
    true_central: int
    predicted_central: int
    count_error: float
    pq: Interval | Spread | None
    dq: Interval | Spread | None
    sq: Interval | Spread | None
    centroid_f1: Interval | Spread | None
    centroid_f1_6: Interval | Spread | None
    r2: Interval | Spread | None

    @property
    def f1(self) -> Interval | Spread | None:
        """Detection F1 of the class."""
        return self.dq


@dataclass(frozen=True)
class NucleiScores:
    """``intervals`` by the names of OVERALL, ``by_class`` by class, ``by_image`` by those of OF_IMAGES, and what they rest on."""

    patches: int
    sources: int
    empty_patches: int
    intervals: dict[str, Interval | Spread]
    by_class: dict[str, ClassScores]
    by_image: dict[str, Interval | Spread]

    @classmethod
    def of(
        cls, rows: Sequence[NucleiScoreRow], classes: Sequence[str], *, resamples: int, confidence: float, seed: int
    ) -> NucleiScores:
        """Score the rows of predictions.csv, in any order.

        Raises:
            DataError: when a patch's rows are not each class and ``all`` once, when the truth has no nuclei, or when all patches
                come from one source image.
        """
        table, sources = table_of(rows, classes)
        if not table[:, -1, FIELDS.index("typed")].any():
            raise DataError(f"the truth of the {len(table)} test patches has no nuclei of any class; there is nothing to score")
        sums = by_source(table, sources)
        estimates = estimates_of(sums, resamples=resamples, confidence=confidence, seed=seed)
        overall, of_class = estimates[: len(OVERALL)], iter(estimates[len(OVERALL) :])
        counts = {kind: _counts(rows, kind) for kind in classes}
        return cls(
            patches=len(table),
            sources=len(sums),
            empty_patches=int((~present_in(table)[:, -1]).sum()),
            intervals={name: each for name, each in zip(OVERALL, overall, strict=True) if each is not None},
            by_class={kind: ClassScores(*counts[kind], *(next(of_class) for _ in OF_CLASS)) for kind in classes},
            by_image=of_images(sums, resamples=resamples, confidence=confidence, seed=seed),
        )


def _counts(rows: Sequence[NucleiScoreRow], kind: str) -> tuple[int, int, int, int, float]:
    of_kind = [row for row in rows if row.class_name == kind]
    whole = sum(row.tp + row.fn for row in of_kind), sum(row.tp + row.fp for row in of_kind)
    central = sum(row.true_count for row in of_kind), sum(row.predicted_count for row in of_kind)
    return (*whole, *central, sum(abs(row.true_count - row.predicted_count) for row in of_kind) / len(of_kind))
