"""pipeline_definitions/msi.yaml: slides and labels, extraction, attention MIL."""

from __future__ import annotations

from typing import Any, ClassVar

from pathology.contracts.settings import Fraction, Settings
from pathology.contracts.settings_msi import CollectFeatures, EvaluateMsi, ExtractFeatures, PrepareMsi, Tiling, TrainMsi
from pydantic import Field

from pipelines.tasks.common import AurocGate, Task, Version
from steps.environment import Resources, RunAs, TrainingResources


class Dataset(Settings):
    """Slides (a folder, or the root a GDC manifest was downloaded to) and the table of labels."""

    slides: str
    manifest: str | None = None
    labels: str
    version: Version = "1"


class Extract(Settings):
    """ExtractFeatures; ``run_as: training`` lets it read slides from EFS."""

    run_as: RunAs = "processing"
    resources: TrainingResources
    features: str
    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class Collect(Settings):
    """CollectFeatures."""

    resources: Resources
    max_failed_fraction: Fraction = 0.1


class Train(Settings):
    """TrainMsi; ``features`` and ``models`` say where it reads: a folder on EFS, or the same as extraction's in S3."""

    resources: TrainingResources
    features: str
    models: str
    hyperparameters: dict[str, Any] = Field(default_factory=dict)


class MsiTask(Task):
    """The whole file, its URIs filled in for one environment and its hyperparameters typed."""

    uris: ClassVar = {
        "dataset": ("slides", "manifest", "labels"),
        "encoder": ("weights",),
        "extract": ("features",),
        "train": ("features", "models"),
    }
    commands = ("prepare_settings", "extract_settings", "collect_settings", "train_settings", "evaluate_settings")

    dataset: Dataset
    extract: Extract
    collect: Collect
    train: Train
    gate: AurocGate

    @property
    def prepare_settings(self) -> PrepareMsi:
        """PrepareMsi's hyperparameters, checked."""
        own = {"slides": self.dataset.slides, "manifest": self.dataset.manifest}
        return PrepareMsi.parse({**self.prepare.hyperparameters, **own}, "prepare.hyperparameters")

    @property
    def extract_settings(self) -> ExtractFeatures:
        """ExtractFeatures' hyperparameters, checked."""
        return ExtractFeatures.parse(
            {**self.extract.hyperparameters, "features": self.extract.features}, "extract.hyperparameters"
        )

    @property
    def collect_settings(self) -> CollectFeatures:
        """CollectFeatures' hyperparameters: extraction's tiling and its own limit."""
        tiling = {name: getattr(self.extract_settings, name) for name in Tiling.model_fields}
        own = {
            "features": self.extract.features,
            "encoder": self.encoder.weights,
            "max_failed_fraction": self.collect.max_failed_fraction,
        }
        return CollectFeatures.parse({**tiling, **own}, "collect")

    @property
    def train_settings(self) -> TrainMsi:
        """TrainMsi's hyperparameters, checked."""
        return TrainMsi.parse(self.train.hyperparameters, "train.hyperparameters")

    @property
    def evaluate_settings(self) -> EvaluateMsi:
        """EvaluateMsi's hyperparameters, checked."""
        return EvaluateMsi.parse(self.evaluate.hyperparameters, "evaluate.hyperparameters")
