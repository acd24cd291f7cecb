"""report.html of a batch: every patient's answer, why there is none where there is none, and what was asked of which model."""

from __future__ import annotations

from pathlib import Path

from pathology.contracts.msi.predict import Results
from pathology.report.batch import batch_page

TEMPLATE = Path(__file__).with_name("predictions.html.j2")
ORDER = {"cannot say": 0, "failed": 1, "predicted": 2}
"""Of the rows: what somebody has to look at first."""


def render(results: Results) -> str:
    """The page."""
    rows = sorted(results.patients, key=lambda row: (ORDER[row.status], -(row.probability or 0), row.patient_id))
    return batch_page(TEMPLATE, {"results": results, "rows": rows, "warnings": results.warnings})
