"""EvaluateMsi's hyperparameters, evaluation.json and predictions.csv."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pathology.contracts.cohort_flow import CohortFlow
from pathology.contracts.evaluation import (
    BinaryBlock,
    BinaryClassificationMetrics,
    Bounds,
    Count,
    EvaluationSettings,
    ModelIdentity,
    RegistryFacts,
    SiteRow,
)
from pathology.contracts.registry import RegistryText
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables import Row


class EvaluateMsi(EvaluationSettings):
    """The packaged model on the test patients → evaluation.json, predictions.csv, report.html; ``resamples`` draws of patients."""


class PatientPredictionRow(Row):
    """One test patient: the label, the ensemble's probability, and its spread over the folds' models."""

    patient_id: str
    site: str
    slides: int
    label: int
    probability: Annotated[float, Field(ge=0, le=1)]
    fold_std: float
    predicted: int


class NotEvaluable(StrictJson):
    """A test patient without a slide that has features, and why."""

    patient_id: str
    label: Literal[0, 1]
    slides: Count
    reason: str


class EnsembleIdentity(ModelIdentity):
    """``trained_on_this_cohort``: the cohort table is the one that the model was trained from, so that its split holds."""

    folds: Count
    labels: tuple[str, str]
    trained_on_this_cohort: bool
    out_of_fold_auroc: Bounds


class MsiRegistry(RegistryFacts):
    """``tile`` is how the features that the model was trained on were cut, ``features`` their settings hash."""

    tile: RegistryText
    features: RegistryText
    aggregation: RegistryText


class MsiBlock(BinaryBlock):
    """``n`` test patients with ``slides`` in all; ``not_evaluable`` are in no number; ``flow`` is the whole cohort's."""

    task: Literal["msi"]
    slides: Count
    not_evaluable: list[NotEvaluable]
    sites: list[SiteRow]
    flow: CohortFlow
    model: EnsembleIdentity
    registry: MsiRegistry


class MsiEvaluation(StrictJson):
    """The whole file."""

    binary_classification_metrics: BinaryClassificationMetrics
    pathology: MsiBlock
