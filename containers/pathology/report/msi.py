"""report.html of msi: what was tested, how sure the answer is, and what it must not be used for, in one self-contained file."""

from __future__ import annotations

from collections.abc import Sequence

from pathology.contracts.evaluation import Evaluation
from pathology.contracts.tables import PredictionRow
from pathology.report.binary import confident_mistakes, fill

MISTAKES_SHOWN = 10


def render(evaluation: Evaluation, predictions: Sequence[PredictionRow]) -> str:
    """The page: text, tables and figures of ``evaluation``, drawn from ``predictions``."""
    block = evaluation.pathology
    mistakes = confident_mistakes(sorted(predictions, key=lambda row: row.patient_id), block.threshold)
    return fill(
        "msi.html.j2",
        block,
        evaluation.binary_classification_metrics,
        predictions,
        labels=block.model.labels,
        unit=("patient", "patients"),
        own={"mistakes": mistakes[:MISTAKES_SHOWN], "mistake_count": len(mistakes)},
    )
