"""report.html: what was tested, how sure the answer is, and what it must not be used for, in one self-contained file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pathology.contracts.evaluation import Bounds, Evaluation
from pathology.contracts.tables import PredictionRow
from pathology.report.figures import calibration_figure, distribution_figure, precision_recall_figure, roc_figure

MISTAKES_SHOWN = 10

MEASURES = (
    ("auroc", "AUROC", "Chance that a positive patient gets a higher score than a negative one; 0.5 is a coin."),
    ("sensitivity", "Sensitivity", "Of the positive patients, the share that the model calls positive."),
    ("specificity", "Specificity", "Of the negative patients, the share that the model calls negative."),
    ("precision", "Precision (PPV)", "Of the patients called positive, the share that is. Falls where positives are rarer."),
    ("balanced_accuracy", "Balanced accuracy", "Mean of sensitivity and specificity; 0.5 is a coin."),
    ("accuracy", "Accuracy", "Share of patients called right; the majority class alone reaches much of it."),
    ("average_precision", "Average precision", "Area under the precision-recall curve; chance is the share of positives."),
    ("f1", "F1", "Harmonic mean of precision and sensitivity."),
)


def render(evaluation: Evaluation, predictions: Sequence[PredictionRow]) -> str:
    """The page: text, tables and figures of ``evaluation``, drawn from ``predictions``."""
    block = evaluation.pathology
    truth = np.array([row.label for row in predictions])
    probability = np.array([row.probability for row in predictions])
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{value:.0%}"
    environment.filters["number"] = _number
    context: dict[str, Any] = {
        "block": block,
        "style": (Path(__file__).parent / "report.css").read_text(),
        "matrix": evaluation.binary_classification_metrics.confusion_matrix,
        "measures": [(title, block.intervals[name], words) for name, title, words in MEASURES],
        "auroc": block.intervals["auroc"],
        "verdict": verdict(block.intervals["auroc"], block.confidence),
        "mistakes": confident_mistakes(predictions, block.threshold)[:MISTAKES_SHOWN],
        "mistake_count": len(confident_mistakes(predictions, block.threshold)),
        "roc": roc_figure(truth, probability, block.threshold, block.confidence, block.seed),
        "precision_recall": precision_recall_figure(truth, probability, block.threshold),
        "calibration": calibration_figure(block.calibration),
        "distribution": distribution_figure(truth, probability, block.threshold, block.model.labels, block.seed),
    }
    return environment.get_template("msi.html.j2").render(context)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def verdict(auroc: Bounds, confidence: float) -> str:
    """One sentence on whether the scores carry information at all."""
    if auroc.low > 0.5:
        return f"The scores separate the classes better than chance: the {confidence:.0%} interval lies above 0.5."
    if auroc.high < 0.5:
        return f"The scores order the classes the wrong way round: the {confidence:.0%} interval lies below 0.5."
    return f"This test cannot tell the scores from chance: the {confidence:.0%} interval holds 0.5."


def confident_mistakes(predictions: Sequence[PredictionRow], threshold: float) -> list[PredictionRow]:
    """Patients called wrong, the farthest from the threshold first, as a share of the room on their side of it."""

    def confidence(row: PredictionRow) -> float:
        room = 1 - threshold if row.predicted else threshold
        return abs(row.probability - threshold) / room if room else 0.0

    wrong = [row for row in predictions if row.predicted != row.label]
    return sorted(wrong, key=lambda row: (-confidence(row), row.patient_id))
