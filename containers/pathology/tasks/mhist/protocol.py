"""What an evaluation says of a model that was trained by eva's protocol."""

from __future__ import annotations

import numpy as np

from pathology.contracts.mhist.evaluate import EvaReport, EvaRunReport, eva_published
from pathology.contracts.mhist.patches import PUBLISHED
from pathology.tasks.mhist.artefact import MhistConfig

REMARKS = (
    "Embeddings are kept in half precision, where eva keeps them in single.",
    "Every other number of this report is of the first run's head; eva reports the mean of its runs.",
)
WARNING = (
    "The model was trained by eva's protocol: its epoch was chosen on these very test patches, as eva's leaderboard has it, so that every "
    "figure here flatters. Lay it beside that leaderboard alone; train with protocol held-out for a model to use."
)


def eva_report(config: MhistConfig, published_partition: bool) -> EvaReport | None:
    """Of ``config``, evaluated on MHIST's own test partition or on other patches; None without that protocol."""
    eva = config.eva
    if eva is None:
        return None
    departures = []
    if not published_partition:
        departures.append("The test patches are not those of MHIST's own partition.")
    if eva.patches != PUBLISHED["train"]:
        departures.append(f"It learnt from {eva.patches:,} patches, where MHIST's train partition has {PUBLISHED['train']:,}.")
    if config.training.get("shuffle-labels") == "true":
        departures.append("Labels were permuted.")
    values = eva.model_dump(exclude={"runs"})
    return EvaReport(
        **values,
        runs=[EvaRunReport(**run.model_dump()) for run in eva.runs],
        mean=float(np.mean([run.balanced_accuracy for run in eva.runs])),
        departures=departures,
        remarks=list(REMARKS),
        published=None if departures else eva_published(config.encoder.name),
    )
