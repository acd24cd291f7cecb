"""pipeline_definitions/mhist.yaml: annotated patches, a classifier on the encoder."""

from __future__ import annotations

from typing import ClassVar

from pathology.contracts.settings import Settings
from pathology.contracts.settings_mhist import EvaluateMhist, PrepareMhist, TrainMhist

from pipelines.tasks.common import AurocGate, PatchTraining, Task, Version


class Dataset(Settings):
    """annotations.csv, and a folder with images.zip or the patches themselves."""

    annotations: str
    images: str
    version: Version = "1"


class MhistTask(Task):
    """The whole file, its URIs filled in for one environment and its hyperparameters typed."""

    uris: ClassVar = {"dataset": ("annotations", "images"), "encoder": ("weights",), "train": ("training", "models")}
    commands = ("prepare_settings", "train_settings", "evaluate_settings")

    dataset: Dataset
    train: PatchTraining
    gate: AurocGate

    @property
    def prepare_settings(self) -> PrepareMhist:
        """PrepareMhist's hyperparameters, checked."""
        return PrepareMhist.parse(self.prepare.hyperparameters, "prepare.hyperparameters")

    @property
    def train_settings(self) -> TrainMhist:
        """TrainMhist's hyperparameters, checked."""
        return TrainMhist.parse(self.train.hyperparameters, "train.hyperparameters")

    @property
    def evaluate_settings(self) -> EvaluateMhist:
        """EvaluateMhist's hyperparameters, checked."""
        return EvaluateMhist.parse(self.evaluate.hyperparameters, "evaluate.hyperparameters")
