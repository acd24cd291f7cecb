"""report.html of msi: what was tested, how sure the answer is, and what it must not be used for, in one self-contained file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pathology.contracts.msi.evaluate import MsiEvaluation, PatientPredictionRow
from pathology.report.binary import confident_mistakes, fill

TEMPLATE = Path(__file__).with_name("report.html.j2")

MISTAKES_SHOWN = 10
NAMES_SHOWN = 20
"""Slides of each loss that the cohort flow names."""


def render(evaluation: MsiEvaluation, predictions: Sequence[PatientPredictionRow]) -> str:
    """The page: text, tables and figures of ``evaluation``, drawn from ``predictions``."""
    block = evaluation.pathology
    mistakes = confident_mistakes(sorted(predictions, key=lambda row: row.patient_id), block.threshold)
    return fill(
        TEMPLATE,
        block,
        evaluation.binary_classification_metrics,
        predictions,
        labels=block.model.labels,
        unit=("patient", "patients"),
        task={"mistakes": mistakes[:MISTAKES_SHOWN], "mistake_count": len(mistakes), "names_shown": NAMES_SHOWN},
    )
