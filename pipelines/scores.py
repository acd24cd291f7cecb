"""evaluation.json as people read it: a table of scores with standard deviations and intervals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.tables import print_table, table

_STUDIO_NAMES = {"auroc": "auc", "sensitivity": "true_positive_rate", "specificity": "true_negative_rate"}
"""Model Monitor's names of scores that the report calls as pathologists do."""
_SAME = {
    "recall": "true_positive_rate",
    "weighted_recall": "accuracy",
    "weighted_recall_best_constant_classifier": "accuracy_best_constant_classifier",
}
"""Model Monitor's second names of the same number; recall weighted by actual classes is accuracy."""
_MULTICLASS = "multiclass_classification_metrics"
_CONSTANT = "_best_constant_classifier"

TITLES = {
    "bpq": "bPQ",
    "detection_f1": "detection F1",
    "dice": "Dice",
    "aji": "AJI",
    "mpq": "mPQ",
    "mpq_plus": "mPQ+",
    "r2": "R²",
}
"""Scores of nuclei as the literature writes them."""


@dataclass(frozen=True)
class Score:
    """One score; what the report does not give is None."""

    name: str
    value: float
    standard_deviation: float | None
    low: float | None
    high: float | None


def scores(evaluation: dict[str, Any]) -> list[Score]:
    """Every score of evaluation.json, none twice: those with an interval first, then Model Monitor's others."""
    measures = {
        name: leaf
        for kind, group in evaluation.items()
        if kind.endswith("_metrics")
        for name, leaf in group.items()
        if isinstance(leaf, dict) and "value" in leaf
    }
    intervals = evaluation.get("pathology", {}).get("intervals", {})
    found = []
    for name, interval in intervals.items():
        leaf = measures.pop(_STUDIO_NAMES.get(name, name), {})
        found.append(Score(name, interval["value"], leaf.get("standard_deviation"), interval["low"], interval["high"]))
    covered = {*(_STUDIO_NAMES.get(name, name) for name in intervals), *measures}
    found += [
        Score(_of_class(name) if _MULTICLASS in evaluation else name, leaf["value"], leaf.get("standard_deviation"), None, None)
        for name, leaf in measures.items()
        if _SAME.get(name) not in covered
    ]
    return found


def _of_class(name: str) -> str:
    """Model Monitor's scores of several classes are of what was found, which the intervals' names do not tell."""
    if name.endswith(_CONSTANT):
        return f"class_{name.removesuffix(_CONSTANT)},_best_constant"
    return f"class_{name}"


def remarks(evaluation: dict[str, Any]) -> Iterator[str]:
    """How much was scored, and what to be careful about."""
    own = evaluation.get("pathology", {})
    if "n" in own:
        positives = f", {own['positives']} of them positive" if "positives" in own else ""
        nuclei = f" patches of {own['sources']} source images with {own['nuclei']} nuclei" if "nuclei" in own else ""
        threshold = f"; threshold {own['threshold']:.3f}" if "threshold" in own else ""
        yield f"n = {own['n']}{nuclei}{positives}{threshold}"
    yield from (f"caution: {caution}" for caution in own.get("cautions", []))


def title(name: str) -> str:
    """A score's name for people."""
    return TITLES.get(name) or re.sub(r"(?<=\d)_(?=\d)", ".", name).replace("_", " ")


def print_scores(evaluation: dict[str, Any]) -> None:
    """The table, and what goes with it."""
    level = evaluation.get("pathology", {}).get("confidence")
    bounds = f"{level:.0%} interval" if level else "Interval"
    rows = [
        (
            title(score.name),
            f"{score.value:.3f}",
            "" if score.standard_deviation is None else f"{score.standard_deviation:.3f}",
            "" if score.low is None else f"{score.low:.3f} to {score.high:.3f}",
        )
        for score in scores(evaluation)
    ]
    print_table(table(("Score", "Value", "SD", bounds), rows, right=("Value", "SD")))
    for remark in remarks(evaluation):
        print(remark)
