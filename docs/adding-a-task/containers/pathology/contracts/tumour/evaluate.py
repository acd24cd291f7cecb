"""EvaluateTumour's hyperparameters and evaluation.json."""

from __future__ import annotations

from typing import Literal

from pathology.contracts.binary import BinaryBlock, BinaryClassificationMetrics, BinaryEvaluationSettings
from pathology.contracts.evaluation import ModelIdentity
from pathology.contracts.strict_json import StrictJson


class EvaluateTumour(BinaryEvaluationSettings):
    """The packaged model on the test patches → evaluation.json, predictions.csv, report.html."""


class TumourModelIdentity(ModelIdentity):
    """``trained_on_these_patches``: patches.csv is the table that the model was trained from, so that its split holds."""

    labels: tuple[str, str]
    trained_on_these_patches: bool


class TumourBlock(BinaryBlock):
    """What a reader asks for beside Studio's numbers."""

    task: Literal["tumour"]
    model: TumourModelIdentity


class TumourEvaluation(StrictJson):
    """The whole file."""

    binary_classification_metrics: BinaryClassificationMetrics
    pathology: TumourBlock
