"""What a person changes per run of the msi pipeline, and how it reaches the jobs' hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass

from pathology.contracts.settings import NOT_GIVEN

from pipelines.graphs.parameters import Hyperparameters, Parameters, approval
from pipelines.tasks.msi import MsiTask
from steps.sdk import ParameterFloat, ParameterInteger, ParameterString


@dataclass(frozen=True)
class MsiParameters(Parameters[MsiTask]):
    """The fields of msi's form."""

    slides: ParameterString
    manifest: ParameterString
    labels: ParameterString
    dataset_version: ParameterString
    test_fraction: ParameterFloat
    encoder: ParameterString
    features: ParameterString
    prepare_instance: ParameterString
    extract_instance: ParameterString
    extract_hosts: ParameterInteger
    train_instance: ParameterString
    evaluate_instance: ParameterString
    tiles_per_slide: ParameterInteger
    precision: ParameterString
    extraction_run: ParameterString
    max_failed_fraction: ParameterFloat
    epochs: ParameterInteger
    batch_size: ParameterInteger
    learning_rate: ParameterFloat
    tiles_per_bag: ParameterInteger
    seed: ParameterInteger
    min_auroc: ParameterFloat
    approval: ParameterString

    @classmethod
    def from_task(cls, task: MsiTask) -> MsiParameters:
        """Parameters with the task's values as defaults."""
        extract, train = task.extract_settings, task.train_settings
        return cls(
            task=task,
            slides=ParameterString("SlidesUri", task.dataset.slides),
            manifest=ParameterString("ManifestUri", task.dataset.manifest or NOT_GIVEN),
            labels=ParameterString("LabelsUri", task.dataset.labels),
            dataset_version=ParameterString("DatasetVersion", task.dataset.version),
            test_fraction=ParameterFloat("TestFraction", task.prepare_settings.test_fraction),
            encoder=ParameterString("EncoderUri", task.encoder.weights),
            features=ParameterString("FeaturesUri", task.extract.features),
            prepare_instance=ParameterString("PrepareInstanceType", task.prepare.resources.instance_type),
            extract_instance=ParameterString("ExtractInstanceType", task.extract.resources.instance_type),
            extract_hosts=ParameterInteger("ExtractInstanceCount", task.extract.resources.instance_count),
            train_instance=ParameterString("TrainInstanceType", task.train.resources.instance_type),
            evaluate_instance=ParameterString("EvaluateInstanceType", task.evaluate.resources.instance_type),
            tiles_per_slide=ParameterInteger("TilesPerSlide", extract.max_tiles),
            precision=ParameterString("Precision", extract.precision, enum_values=["float32", "float16", "bfloat16"]),
            extraction_run=ParameterString("ExtractionRun", extract.extraction_run),
            max_failed_fraction=ParameterFloat("MaxFailedFraction", task.collect.max_failed_fraction),
            epochs=ParameterInteger("Epochs", train.epochs),
            batch_size=ParameterInteger("BatchSize", train.batch_size),
            learning_rate=ParameterFloat("LearningRate", train.learning_rate),
            tiles_per_bag=ParameterInteger("TilesPerBag", train.max_tiles),
            seed=ParameterInteger("Seed", train.seed),
            min_auroc=ParameterFloat("MinAuroc", task.gate.min_auroc),
            approval=approval(task),
        )

    @property
    def preparation(self) -> Hyperparameters:
        """PrepareMsi's hyperparameters."""
        own = {"slides": self.slides, "manifest": self.manifest, "test-fraction": self.test_fraction, "seed": self.seed}
        return {**self.task.prepare_settings.given(), **own}

    @property
    def _tiling(self) -> Hyperparameters:
        return {"max-tiles": self.tiles_per_slide, "precision": self.precision, "features": self.features}

    @property
    def extraction(self) -> Hyperparameters:
        """ExtractFeatures' hyperparameters."""
        return {**self.task.extract_settings.given(), **self._tiling, "extraction-run": self.extraction_run}

    @property
    def collection(self) -> Hyperparameters:
        """CollectFeatures' hyperparameters: the same tiling, so that it looks where extraction wrote."""
        own = {"encoder": self.encoder, "max-failed-fraction": self.max_failed_fraction}
        return {**self.task.collect_settings.given(), **self._tiling, **own}

    @property
    def training(self) -> Hyperparameters:
        """TrainMsi's hyperparameters."""
        own = {
            "epochs": self.epochs,
            "batch-size": self.batch_size,
            "learning-rate": self.learning_rate,
            "max-tiles": self.tiles_per_bag,
            "seed": self.seed,
        }
        return {**self.task.train_settings.given(), **own}
