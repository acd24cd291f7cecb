"""evaluation.json as people read it: a table of scores with standard deviations and intervals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.tables import print_table, table
from pipelines.tasks import NAMES, task_spec

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


@dataclass(frozen=True)
class Score:
    """One score, and its interval in words; what the report does not give is None."""

    name: str
    value: float
    std: float | None
    interval: str | None


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
    result = []
    for name, interval in intervals.items():
        leaf = measures.pop(_STUDIO_NAMES.get(name, name), {})
        result.append(Score(name, interval["value"], leaf.get("standard_deviation"), bounds(interval)))
    covered = {*(_STUDIO_NAMES.get(name, name) for name in intervals), *measures}
    result += [
        Score(_of_class(name) if _MULTICLASS in evaluation else name, leaf["value"], leaf.get("standard_deviation"), None)
        for name, leaf in measures.items()
        if _SAME.get(name) not in covered
    ]
    return result


def bounds(interval: Mapping[str, Any]) -> str:
    """An entry of evaluation.json's ``intervals`` without its value: its bounds, or that there is none and what stands in its place."""
    if "low" in interval:
        return f"{interval['low']:.3f} to {interval['high']:.3f}"
    return (
        f"none; {interval['lowest']:.3f} to {interval['highest']:.3f} as each of {interval['clusters']} source images is left out"
    )


def _of_class(name: str) -> str:
    """Model Monitor's scores of several classes are of what was found, which the intervals' names do not tell."""
    if name.endswith(_CONSTANT):
        return f"class_{name.removesuffix(_CONSTANT)},_best_constant"
    return f"class_{name}"


def remarks(evaluation: dict[str, Any]) -> Iterator[str]:
    """How much was scored, and what to be careful about."""
    block = evaluation.get("pathology", {})
    if "n" in block:
        positives = f", {block['positives']} of them positive" if "positives" in block else ""
        nuclei = f" patches of {block['sources']} source images with {block['nuclei']} nuclei" if "nuclei" in block else ""
        threshold = f"; threshold {block['threshold']:.3f}" if "threshold" in block else ""
        yield f"n = {block['n']}{nuclei}{positives}{threshold}"
    yield from (operating_point(row, block) for row in block.get("operating_points", ()))
    yield from (f"warning: {warning}" for warning in warnings(evaluation))


def operating_point(row: Mapping[str, Any], block: Mapping[str, Any]) -> str:
    """A line on one threshold that training chose, as the test items of ``block`` have it."""
    point, positives = row["point"], block["positives"]
    found = ", ".join(f"{name} {row[name]['value']:.3f} ({bounds(row[name])})" for name in ("sensitivity", "specificity"))
    counts = f"{row['missed']} of {positives} missed, {row['false_alarms']} of {block['n'] - positives} false alarms"
    return f"operating point {point['name']}, {point['threshold']:.3f}: {found}; {counts}{'; decides' if row['decides'] else ''}"


def warnings(evaluation: dict[str, Any]) -> list[str]:
    """What a reader must know before believing a number; evaluations of before 0.2 call it cautions."""
    block = evaluation.get("pathology", {})
    return list(block.get("warnings", block.get("cautions", [])))


def titles(evaluation: dict[str, Any]) -> Mapping[str, str]:
    """The titles of the measures of the task that was evaluated; none for a task that this code does not know."""
    name = evaluation.get("pathology", {}).get("task")
    return task_spec(name).titles if name in NAMES else {}


def headline(evaluation: dict[str, Any]) -> list[str]:
    """The measures that a summary gives: those of the task's headline, all of a task that this code does not know."""
    block = evaluation.get("pathology", {})
    intervals = block.get("intervals", {})
    return (
        [name for name in task_spec(block["task"]).headline if name in intervals]
        if block.get("task") in NAMES
        else list(intervals)
    )


def title(name: str, known: Mapping[str, str]) -> str:
    """A score's name for people; ``known`` are those of :func:`titles`."""
    return known.get(name) or re.sub(r"(?<=\d)_(?=\d)", ".", name).replace("_", " ")


def print_scores(evaluation: dict[str, Any]) -> None:
    """The table, and what goes with it."""
    known = titles(evaluation)
    level = evaluation.get("pathology", {}).get("confidence")
    heading = f"{level:.0%} interval" if level else "Interval"
    rows = [
        (
            title(score.name, known),
            f"{score.value:.3f}",
            "" if score.std is None else f"{score.std:.3f}",
            (score.interval or "").partition(";")[0],
        )
        for score in scores(evaluation)
    ]
    print_table(table(("Score", "Value", "SD", heading), rows, right=("Value", "SD")))
    for score in scores(evaluation):
        _, _, instead = (score.interval or "").partition("; ")
        if instead:
            print(f"{title(score.name, known)} has no confidence interval: {instead}")
    for remark in remarks(evaluation):
        print(remark)
