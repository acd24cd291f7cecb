"""What is summed over patches of rows of predictions.csv, so that scores of any set of source images follow from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.lizard.evaluate import NucleiScoreRow
from pathology.contracts.lizard.patches import ALL_CLASSES
from pathology.metrics.panoptic import Aji, Dice, PatchScore

FIELDS = (
    *("patches", "tp", "fp", "fn", "iou_sum", "pq", "has", "dice", "aji", "count", "count_squared", "error_squared"),
    *("typed", "pq_typed", "paired_12", "paired_6"),
    *("pixels_both", "pixels_true", "pixels_predicted", "aji_intersection", "aji_union"),
)
"""What is summed over patches, for each class and for ``all``: ``has``, whether the truth has any, without which PQ is 0;
``count``, true nuclei in the middle. Of ``all`` only: ``typed``, whether the truth has any class, and ``pq_typed``, the mean PQ of
those it has."""


def _fields(row: NucleiScoreRow) -> tuple[float, ...]:
    pq, has = PatchScore(row.tp, row.fp, row.fn, row.iou_sum).pq, row.tp + row.fn > 0
    overlap = Dice(row.pixels_both, row.pixels_true, row.pixels_predicted).value
    jaccard = Aji(row.aji_intersection, row.aji_union).value
    y, error = row.true_count, row.true_count - row.predicted_count
    of_patch = (1, row.tp, row.fp, row.fn, row.iou_sum, pq, has, overlap, jaccard, y, y**2, error**2, 0, 0)
    return (*of_patch, *(getattr(row, name) for name in FIELDS[len(of_patch) :]))


def table_of(rows: Sequence[NucleiScoreRow], classes: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Rows of predictions.csv as (patches, K + 1, fields) in the order of ``classes``, then ``all``, and the patches' sources.

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
    table[:, -1, FIELDS.index("typed")], table[:, -1, FIELDS.index("pq_typed")] = has > 0, ratio(pq, has)
    return table, list(sources.values())


def ratio(part: np.ndarray, whole: np.ndarray, empty: float = 0.0) -> np.ndarray:
    """``part / whole``, ``empty`` where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), empty, float), where=whole != 0)


def by_source(values: np.ndarray, sources: Sequence[str]) -> np.ndarray:
    """(patches, …) summed within each source image, (sources, …)."""
    names, owners = np.unique(np.array(sources, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        raise DataError(f"the test patches come from {len(names)} source image; intervals are by source image and need two")
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, owners, values)
    return sums


def present_in(sums: np.ndarray) -> np.ndarray:
    """(n, K + 1, fields) sums to (n, K + 1) bool: whether truth or prediction has any nucleus."""
    return np.asarray(sums[..., [FIELDS.index(name) for name in ("tp", "fp", "fn")]].sum(axis=-1) > 0)
