"""The mhist model artefact: a patch classifier's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pathology.artefact import Part
from pathology.patches.artefact import PatchConfig


class EvaRunRecord(Part):
    """One run: its seed, the epoch that did best on the test patches, and the balanced accuracy there."""

    seed: int
    epoch: int
    balanced_accuracy: float


class EvaTraining(Part):
    """Training by eva's protocol: its settings, on how many ``patches``, and its ``runs``; the packed head is the first one's."""

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    patience: int
    patches: int
    runs: Annotated[tuple[EvaRunRecord, ...], Field(min_length=1)]


class MhistConfig(PatchConfig):
    """config.json. ``eva`` of a model that was trained by that protocol: ``validation`` are then the test patches."""

    task: Literal["mhist"] = "mhist"
    eva: EvaTraining | None = None
