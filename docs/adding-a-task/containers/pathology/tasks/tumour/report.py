"""report.html of tumour: what was tested, how sure the answer is, and the patches called wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pathology.contracts.patches import PatchPredictionRow
from pathology.contracts.tumour.evaluate import TumourEvaluation
from pathology.report.binary import confident_mistakes, fill

TEMPLATE = Path(__file__).with_name("report.html.j2")
MAX_MISTAKES = 20


def render(evaluation: TumourEvaluation, predictions: Sequence[PatchPredictionRow]) -> str:
    """The page: text, tables and figures of ``evaluation``, drawn from ``predictions``."""
    block = evaluation.pathology
    mistakes = confident_mistakes(sorted(predictions, key=lambda row: row.image), block.threshold)
    return fill(
        TEMPLATE,
        block,
        evaluation.binary_classification_metrics,
        predictions,
        labels=block.model.labels,
        unit=("patch", "patches"),
        chosen_on="validation",
        task={"mistakes": mistakes[:MAX_MISTAKES], "mistake_count": len(mistakes)},
    )
