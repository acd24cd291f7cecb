"""pipeline_definitions/lizard.yaml: annotated nuclei, a decoder on the encoder."""

from __future__ import annotations

from typing import ClassVar

from pathology.contracts.settings import Fraction, Settings
from pathology.contracts.settings_lizard import EvaluateLizard, PrepareLizard, TrainLizard

from pipelines.tasks.common import PatchTraining, Task, Version


class Dataset(Settings):
    """A folder with images.npy, labels.npy, counts.csv and patch_info.csv in CoNIC's layout."""

    arrays: str
    version: Version = "1"


class Gate(Settings):
    """The least binary panoptic quality on the test patches that registers a model."""

    min_bpq: Fraction


class LizardTask(Task):
    """The whole file, its URIs filled in for one environment and its hyperparameters typed."""

    uris: ClassVar = {"dataset": ("arrays",), "encoder": ("weights",), "train": ("training", "models")}
    commands = ("prepare_settings", "train_settings", "evaluate_settings")

    dataset: Dataset
    train: PatchTraining
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
