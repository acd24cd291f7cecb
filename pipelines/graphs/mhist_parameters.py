"""What a person changes per run of the mhist pipeline, and how it reaches the jobs' hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pathology.contracts.settings import as_string
from pathology.contracts.settings_mhist import Tune

from pipelines.graphs.parameters import SWITCH, Hyperparameters, Parameters, approval
from pipelines.tasks.mhist import MhistTask
from steps.sdk import ParameterFloat, ParameterInteger, ParameterString


@dataclass(frozen=True)
class MhistParameters(Parameters[MhistTask]):
    """The fields of mhist's form."""

    annotations: ParameterString
    images: ParameterString
    dataset_version: ParameterString
    published_counts: ParameterString
    validation_fraction: ParameterFloat
    encoder: ParameterString
    prepare_instance: ParameterString
    train_instance: ParameterString
    train_hosts: ParameterInteger
    evaluate_instance: ParameterString
    tune: ParameterString
    epochs: ParameterInteger
    batch_size: ParameterInteger
    learning_rate: ParameterFloat
    encoder_learning_rate: ParameterFloat
    soft_labels: ParameterString
    seed: ParameterInteger
    min_auroc: ParameterFloat
    approval: ParameterString

    @classmethod
    def from_task(cls, task: MhistTask) -> MhistParameters:
        """Parameters with the task's values as defaults."""
        prepare, train = task.prepare_settings, task.train_settings
        return cls(
            task=task,
            annotations=ParameterString("AnnotationsUri", task.dataset.annotations),
            images=ParameterString("ImagesUri", task.dataset.images),
            dataset_version=ParameterString("DatasetVersion", task.dataset.version),
            published_counts=ParameterString("PublishedCounts", as_string(prepare.published_counts), enum_values=SWITCH),
            validation_fraction=ParameterFloat("ValidationFraction", prepare.validation_fraction),
            encoder=ParameterString("EncoderUri", task.encoder.weights),
            prepare_instance=ParameterString("PrepareInstanceType", task.prepare.resources.instance_type),
            train_instance=ParameterString("TrainInstanceType", task.train.resources.instance_type),
            train_hosts=ParameterInteger("TrainInstanceCount", task.train.resources.instance_count),
            evaluate_instance=ParameterString("EvaluateInstanceType", task.evaluate.resources.instance_type),
            tune=ParameterString("Tune", train.tune, enum_values=list(get_args(Tune))),
            epochs=ParameterInteger("Epochs", train.epochs),
            batch_size=ParameterInteger("BatchSize", train.batch_size),
            learning_rate=ParameterFloat("LearningRate", train.learning_rate),
            encoder_learning_rate=ParameterFloat("EncoderLearningRate", train.encoder_learning_rate),
            soft_labels=ParameterString("SoftLabels", as_string(train.soft_labels), enum_values=SWITCH),
            seed=ParameterInteger("Seed", train.seed),
            min_auroc=ParameterFloat("MinAuroc", task.gate.min_auroc),
            approval=approval(task),
        )

    @property
    def preparation(self) -> Hyperparameters:
        """PrepareMhist's hyperparameters."""
        own = {
            "published-counts": self.published_counts,
            "validation-fraction": self.validation_fraction,
            "seed": self.seed,
        }
        return {**self.task.prepare_settings.given(), **own}

    @property
    def training(self) -> Hyperparameters:
        """TrainMhist's hyperparameters."""
        own = {
            "tune": self.tune,
            "epochs": self.epochs,
            "batch-size": self.batch_size,
            "learning-rate": self.learning_rate,
            "encoder-learning-rate": self.encoder_learning_rate,
            "soft-labels": self.soft_labels,
            "seed": self.seed,
        }
        return {**self.task.train_settings.given(), **own}
