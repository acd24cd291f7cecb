"""One file under two names: refused where the names differ in what they are for, and said where it only counts twice."""

from __future__ import annotations

from collections.abc import Sequence

from pathology.contracts.cohort import CohortRow

SHOWN = 3


def _copies(rows: Sequence[CohortRow]) -> list[tuple[CohortRow, CohortRow]]:
    """Pairs of slides with the same md5."""
    first: dict[str, CohortRow] = {}
    return [(first[row.md5], row) for row in rows if row.md5 and first.setdefault(row.md5, row) is not row]


def same_slide_problems(rows: Sequence[CohortRow]) -> list[str]:
    """One file under two names with other labels, or on both sides of the split: no result would mean anything."""
    return [
        f"slides {one.slide_id} (patient {one.patient_id}) and {other.slide_id} (patient {other.patient_id}) are the same file (md5 "
        f"{one.md5}) and differ in {'label' if one.label != other.label else 'split or fold'}: take one out"
        for one, other in _copies(rows)
        if (one.label, one.split, one.fold) != (other.label, other.split, other.fold)
    ][:5]


def same_slide_warnings(rows: Sequence[CohortRow]) -> list[str]:
    """One file under two names that agree: it counts twice."""
    agreeing = [
        (one, other) for one, other in _copies(rows) if (one.label, one.split, one.fold) == (other.label, other.split, other.fold)
    ]
    if not agreeing:
        return []
    examples = ", ".join(f"{one.slide_id} and {other.slide_id}" for one, other in agreeing[:SHOWN])
    return [f"{len(agreeing)} slides are the same file as another one and count twice: {examples}: take one of each out"]
