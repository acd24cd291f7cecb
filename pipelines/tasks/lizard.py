"""pipeline_definitions/lizard.yaml: annotated nuclei, a decoder on the encoder."""

from __future__ import annotations

from typing import Any, ClassVar

from pathology.contracts.settings import Fraction, Settings
from pathology.contracts.settings_lizard import EvaluateLizard, PrepareLizard, TrainLizard
from pydantic import Field

from pipelines.tasks.common import Task, Version
from steps.environment import TrainingResources


class Dataset(Settings):
    """A folder with images.npy, labels.npy, counts.csv and patch_info.csv in CoNIC's layout."""

    arrays: str
    version: Version = "1"


class Train(Settings):
    """TrainLizard; ``training`` and ``models`` say where it reads: EFS, or S3, where the arrays and the encoder lie."""

    resources: TrainingResources
    training: str
    models: str
    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class Gate(Settings):
    """The least binary panoptic quality on the test patches that registers a model."""

    min_bpq: Fraction


class LizardTask(Task):
    """The whole file, its URIs filled in for one environment and its hyperparameters typed."""

    uris: ClassVar = {"dataset": ("arrays",), "encoder": ("weights",), "train": ("training", "models")}
    commands = ("prepare_settings", "train_settings", "evaluate_settings")

    dataset: Dataset
    train: Train
    gate: Gate

    @property
    def prepare_settings(self) -> PrepareLizard:
        """PrepareLizard's hyperparameters, checked."""
        return PrepareLizard.parse(self.prepare.hyperparameters, "prepare.hyperparameters")

    @property
    def train_settings(self) -> TrainLizard:
        """TrainLizard's hyperparameters, checked."""
        return TrainLizard.parse(self.train.hyperparameters, "train.hyperparameters")

    @property
    def evaluate_settings(self) -> EvaluateLizard:
        """EvaluateLizard's hyperparameters, checked."""
        return EvaluateLizard.parse(self.evaluate.hyperparameters, "evaluate.hyperparameters")
