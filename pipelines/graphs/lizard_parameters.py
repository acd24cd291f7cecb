"""What a person changes per run of the lizard pipeline, and how it reaches the jobs' hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass

from pathology.contracts.settings import as_string

from pipelines.graphs.parameters import SWITCH, Hyperparameters, Parameters, approval
from pipelines.tasks.lizard import LizardTask
from steps.sdk import ParameterFloat, ParameterInteger, ParameterString


@dataclass(frozen=True)
class LizardParameters(Parameters[LizardTask]):
    """The fields of lizard's form."""

    dataset: ParameterString
    dataset_version: ParameterString
    classes: ParameterString
    fold: ParameterInteger
    published_counts: ParameterString
    encoder: ParameterString
    prepare_instance: ParameterString
    train_instance: ParameterString
    train_hosts: ParameterInteger
    evaluate_instance: ParameterString
    tuned: ParameterString
    epochs: ParameterInteger
    batch_size: ParameterInteger
    learning_rate: ParameterFloat
    encoder_learning_rate: ParameterFloat
    width: ParameterInteger
    balance: ParameterFloat
    seed: ParameterInteger
    min_bpq: ParameterFloat
    approval: ParameterString

    @classmethod
    def from_task(cls, task: LizardTask) -> LizardParameters:
        """Parameters with the task's values as defaults."""
        prepare, train = task.prepare_settings, task.train_settings
        return cls(
            task=task,
            dataset=ParameterString("DatasetUri", task.dataset.arrays),
            dataset_version=ParameterString("DatasetVersion", task.dataset.version),
            classes=ParameterString("Classes", as_string(prepare.classes)),
            fold=ParameterInteger("Fold", prepare.fold),
            published_counts=ParameterString("PublishedCounts", as_string(prepare.published_counts), enum_values=SWITCH),
            encoder=ParameterString("EncoderUri", task.encoder.weights),
            prepare_instance=ParameterString("PrepareInstanceType", task.prepare.resources.instance_type),
            train_instance=ParameterString("TrainInstanceType", task.train.resources.instance_type),
            train_hosts=ParameterInteger("TrainInstanceCount", task.train.resources.instance_count),
            evaluate_instance=ParameterString("EvaluateInstanceType", task.evaluate.resources.instance_type),
            tuned=ParameterString("EncoderTuning", train.encoder, enum_values=["frozen", "lora"]),
            epochs=ParameterInteger("Epochs", train.epochs),
            batch_size=ParameterInteger("BatchSize", train.batch_size),
            learning_rate=ParameterFloat("LearningRate", train.learning_rate),
            encoder_learning_rate=ParameterFloat("EncoderLearningRate", train.encoder_learning_rate),
            width=ParameterInteger("Width", train.width),
            balance=ParameterFloat("Balance", train.balance),
            seed=ParameterInteger("Seed", train.seed),
            min_bpq=ParameterFloat("MinBpq", task.gate.min_bpq),
            approval=approval(task),
        )

    @property
    def preparation(self) -> Hyperparameters:
        """PrepareLizard's hyperparameters."""
        own = {
            "classes": self.classes,
            "fold": self.fold,
            "published-counts": self.published_counts,
            "seed": self.seed,
        }
        return {**self.task.prepare_settings.given(), **own}

    @property
    def training(self) -> Hyperparameters:
        """TrainLizard's hyperparameters."""
        own = {
            "encoder": self.tuned,
            "epochs": self.epochs,
            "batch-size": self.batch_size,
            "learning-rate": self.learning_rate,
            "encoder-learning-rate": self.encoder_learning_rate,
            "width": self.width,
            "balance": self.balance,
            "seed": self.seed,
        }
        return {**self.task.train_settings.given(), **own}
