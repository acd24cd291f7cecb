"""The page on two models: differences as a forest plot, both ROC curves, the items that differ most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.comparison_tables import (
    about,
    agreement_words,
    described,
    group_measure,
    interval,
    right_of,
    scores_shown,
    signed,
    value,
)
from pipelines.pages.frame import page
from pipelines.pages.pictures import png_uris
from pipelines.scores import title
from pipelines.service.results import location
from pipelines.tasks import task_spec

if TYPE_CHECKING:
    from pathology.contracts.binary import RocCurve
    from pathology.contracts.comparison.result import PairedScore

    from pipelines.service.comparing import Compared
    from pipelines.service.session import Session

LISTED = 40
"""Items in the table; ``compare --json`` has more."""
_SIDE = 300
"""Of the ROC's square in the SVG."""


def comparison_page(session: Session, found: Compared) -> str:
    """The whole page; pictures are read where the items are pictures."""
    comparison, shown = found.comparison, scores_shown(found)
    bounded = [(name, score) for name, score in shown if score.bounds is not None]
    scale = _scale(score for _, score in bounded)
    pictures, missing = png_uris(session, found)
    context: dict[str, Any] = {
        "task": found.task,
        "models": [
            {
                "name": model.name,
                "words": described(model),
                "arn": model.arn,
                "evaluation": location(session, model.evaluation),
            }
            for model in found.models
        ],
        "comparison": comparison,
        "confidence": f"{comparison.confidence:.0%}",
        "about": [*about(found), *missing],
        "scores": [_bar(name, score, scale) for name, score in bounded],
        "scale": f"{scale:g}",
        "score_rows": [
            (name, value(each.first), value(each.second), signed(each.difference), interval(each), each.method)
            for name, each in shown
        ],
        "curves": [_points(curve) for curve in found.curves],
        "agreement": agreement_words(comparison),
        "pictures": [
            {
                "item": item,
                "uri": uri,
                "first": value(item.first),
                "second": value(item.second),
                "right": right_of(item),
            }
            for item, uri in pictures
        ],
        **_items(found),
        **_groups(found),
    }
    return page("comparison.html.j2", context)


def _items(found: Compared) -> dict[str, Any]:
    rows = [
        (
            item.item,
            item.group or "–",
            "–" if item.label is None else item.label,
            value(item.first),
            value(item.second),
            value(abs(item.first - item.second)),
            right_of(item) or "–",
        )
        for item in found.comparison.different[:LISTED]
    ]
    columns = [("Item", False), ("Of", False), ("Truth", True), ("A", True), ("B", True), ("Apart", True), ("Right", False)]
    kept, columns = _filled(rows, columns)
    return {"items": kept, "item_columns": columns}


def _filled(rows: Sequence[Sequence[Any]], columns: Sequence[tuple[str, bool]]) -> tuple[list[list[Any]], list[tuple[str, bool]]]:
    """Without the columns in which no row has anything."""
    kept = [k for k in range(len(columns)) if any(row[k] != "–" for row in rows)]
    return [[row[k] for k in kept] for row in rows], [columns[k] for k in kept]


def _groups(found: Compared) -> dict[str, Any]:
    measure, groups = group_measure(found), found.comparison.groups
    if measure is None:
        return {"groups": []}
    scores = [(group, group.scores[measure]) for group in groups]
    rows = [
        (
            group.name,
            group.n,
            "–" if group.positives is None else group.positives,
            value(score.first),
            value(score.second),
            signed(score.difference),
            interval(score),
        )
        for group, score in scores
    ]
    bounded = [(group, score) for group, score in scores if score.bounds is not None]
    scale = _scale(score for _, score in bounded)
    heads = [("Group", False), ("n", True), ("Positive", True), ("A", True), ("B", True), ("A − B", True), ("Interval", True)]
    cells, columns = _filled(rows, heads)
    return {
        "groups": cells,
        "group_columns": columns,
        "group_title": title(measure, task_spec(found.task).titles),
        "group_forest": [_bar(group.name, score, scale) for group, score in bounded],
        "group_scale": f"{scale:g}",
    }


def _scale(scores: Iterable[PairedScore]) -> float:
    """How far the axis reaches on both sides: all bounds are on it, at a tenth."""
    ends = [max(abs(score.bounds.low), abs(score.bounds.high)) for score in scores if score.bounds is not None]
    return math.ceil(max([0.05, *ends]) * 10 - 1e-9) / 10


def _bar(name: str, score: PairedScore, scale: float) -> dict[str, Any]:
    """Of a score with an interval; positions in % of the axis' width."""
    bounds = score.bounds
    assert bounds is not None, "only such are drawn"
    at, low, high = (f"{50 + 50 * number / scale:.2f}" for number in (bounds.value, bounds.low, bounds.high))
    return {"name": name, "at": at, "low": low, "high": high, "difference": signed(bounds.value), "interval": interval(score)}


def _points(curve: RocCurve) -> str:
    """Of a polyline."""
    pairs: Sequence[tuple[float, float]] = list(zip(curve.false_positive_rates, curve.true_positive_rates, strict=True))
    return " ".join(f"{_SIDE * x:.1f},{_SIDE * (1 - y):.1f}" for x, y in pairs)
