"""What every report of a binary classifier has: its measures, its figures, its verdict, its mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from pathology.contracts.binary import BinaryBlock, BinaryClassificationMetrics
from pathology.contracts.evaluation import Bounds
from pathology.report.baseline import baseline_verdict, beside
from pathology.report.calibration import calibration_rows
from pathology.report.figures import (
    NARROW,
    calibration_figure,
    decision_figure,
    distribution_figure,
    precision_recall_figure,
    roc_figure,
)
from pathology.report.origin import methods
from pathology.report.page import Headline, Mark, page
from pathology.report.points import deciding_titles, point_rows, prevalence_rows

MEASURES = (
    ("auroc", "AUROC", "Chance that a positive {unit} gets a higher score than a negative one; 0.5 is a coin."),
    ("sensitivity", "Sensitivity", "Of the positive {units}, the fraction that the model calls positive."),
    ("specificity", "Specificity", "Of the negative {units}, the fraction that the model calls negative."),
    ("precision", "Precision (PPV)", "Of the {units} called positive, the fraction that is. Falls where positives are rarer."),
    (
        "npv",
        "Negative predictive value (NPV)",
        "Of the {units} called negative, the fraction that is. Falls where positives are more common.",
    ),
    ("balanced_accuracy", "Balanced accuracy", "Mean of sensitivity and specificity; 0.5 is a coin."),
    (
        "accuracy",
        "Accuracy",
        "Fraction of {units} called right; always answering the class with more {units} reaches {majority:.3f}.",
    ),
    (
        "average_precision",
        "Average precision",
        "Area under the precision-recall curve; chance is the fraction of positives, {positive:.3f}.",
    ),
    ("f1", "F1", "Harmonic mean of precision and sensitivity."),
)

SPARED = "Spared are those called negative, were all others looked at again, at the price of the positives among them."
CALIBRATION = (("calibration_slope", "slope"), ("calibration_intercept", "intercept"), ("brier", "Brier score"))


class Call(Protocol):
    """A row of predictions.csv of any task."""

    @property
    def label(self) -> int:
        """0 or 1, the truth."""

    @property
    def probability(self) -> float:
        """Of class 1."""

    @property
    def predicted(self) -> int:
        """0 or 1, at the threshold."""


Row = TypeVar("Row", bound=Call)


def fill(
    template: Path,
    block: BinaryBlock,
    metrics: BinaryClassificationMetrics,
    predictions: Sequence[Call],
    *,
    labels: tuple[str, str],
    unit: tuple[str, str],
    chosen_on: str,
    task: Mapping[str, Any],
) -> str:
    """Fill ``template``, which extends binary.html.j2, with what all reports show and the values that its ``task`` adds.

    ``labels`` name class 0 and 1; ``unit`` is what one prediction is of, singular and plural; thresholds were ``chosen_on`` that side.
    Its ``task`` may say better ``rests_on``, what promises of operating points rest on; ``spared_words``, a heading and a sentence on
    whom they spare what; and ``probabilities_are``, how probabilities were made.
    """
    truth = np.array([row.label for row in predictions])
    probability = np.array([row.probability for row in predictions])
    names = {"unit": unit[0], "units": unit[1]}
    titles = {name: title for name, title, _ in MEASURES}
    auroc, positive = block.intervals["auroc"], block.positives / block.n
    fractions = {"positive": positive, "majority": max(positive, 1 - positive)}
    context: dict[str, Any] = {
        **names,
        "block": block,
        "labels": labels,
        "matrix": metrics.confusion_matrix,
        "methods": methods(block, titles),
        "groups": [group.n for group in block.calibration],
        "measures": [(title, block.intervals[name], words.format(**names, **fractions)) for name, title, words in MEASURES],
        "headline": Headline("AUROC", auroc, verdict(auroc, block.confidence), (Mark(0.5, "0.5 chance"),)),
        "baseline_rows": beside(block.baseline, block.intervals, titles),
        "baseline_verdict": baseline_verdict(block.baseline, block.intervals, titles, block.confidence),
        **_thresholds(block, unit[1], chosen_on, varied=float(np.ptp(probability)) > 0),
        **_figures(block, truth, probability, labels, unit[1]),
        **task,
    }
    return page(template, context)


def _thresholds(block: BinaryBlock, units: str, chosen_on: str, varied: bool) -> dict[str, Any]:
    """What the page says of operating points and of probabilities; these are ``varied`` where not all are one."""
    return {
        "chosen_on": chosen_on,
        "rests_on": f"It holds for positives that come as those of the {chosen_on} side.",
        "spared_words": (f"Spared a further look, per 100 {units}", SPARED),
        "probabilities_are": "",
        "points": point_rows(block.operating_points, chosen_on),
        "at_prevalence": prevalence_rows(block),
        "deciding": deciding_titles(block.operating_points),
        "calibration_rows": calibration_rows(block.intervals, units, varied),
        "calibration_methods": methods(block, {name: title for name, title in CALIBRATION if name in block.intervals}),
    }


def _figures(
    block: BinaryBlock, truth: np.ndarray, probability: np.ndarray, labels: tuple[str, str], units: str
) -> dict[str, str]:
    """The page's pictures of ``truth`` (n,) and ``probability`` (n,)."""
    return {
        "decision": decision_figure(block.decision_curve, block.positives / block.n, units),
        "roc": roc_figure(truth, probability, block.threshold, block.confidence, block.seed),
        "precision_recall": precision_recall_figure(truth, probability, block.threshold),
        "calibration": calibration_figure(block.calibration),
        "distribution": distribution_figure(truth, probability, block.threshold, labels, block.seed),
        "narrow_distribution": distribution_figure(truth, probability, block.threshold, labels, block.seed, NARROW),
    }


def verdict(auroc: Bounds, confidence: float) -> str:
    """One sentence on whether the scores carry information at all."""
    if auroc.low > 0.5:
        return f"The scores separate the classes better than chance: the {confidence:.0%} interval lies above 0.5."
    if auroc.high < 0.5:
        return f"The scores order the classes the wrong way round: the {confidence:.0%} interval lies below 0.5."
    return f"This test cannot tell the scores from chance: the {confidence:.0%} interval holds 0.5."


def confident_mistakes(predictions: Sequence[Row], threshold: float) -> list[Row]:
    """What was called wrong, the farthest from the threshold first, as a fraction of the range on their side of it; ties as given."""

    def confidence(row: Row) -> float:
        width = 1 - threshold if row.predicted else threshold
        return abs(row.probability - threshold) / width if width else 0.0

    return sorted((row for row in predictions if row.predicted != row.label), key=lambda row: -confidence(row))
