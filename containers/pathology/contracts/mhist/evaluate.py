"""EvaluateMhist's hyperparameters, predictions.csv and evaluation.json: Studio's metrics, and a block on patches and annotators."""

from __future__ import annotations

from typing import Literal

from pathology.contracts.evaluation import (
    BinaryBlock,
    BinaryClassificationMetrics,
    Bounds,
    Comparison,
    Count,
    EvaluationSettings,
    ModelIdentity,
    Probability,
    Published,
)
from pathology.contracts.fine_tuning import FineTuning
from pathology.contracts.patches import PatchPredictionRow
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables import OptionalInt


class EvaluateMhist(EvaluationSettings):
    """The packaged model on the test patches → evaluation.json, predictions.csv, report.html; ``resamples`` draws of patches."""


class MhistPredictionRow(PatchPredictionRow):
    """One test patch, and the annotators' votes for class 1; None where the table does not say."""

    votes: OptionalInt


PublishedMeasure = Literal["balanced_accuracy", "accuracy", "auroc"]
PublishedResult = Published[PublishedMeasure]
"""Of MHIST's own test partition."""


_PROBE = "frozen encoder, linear probe"
_EVA = "eva leaderboard, mean of 5 runs: https://kaiko-ai.github.io/eva/main/leaderboards"

PUBLISHED_RESULTS = (
    PublishedResult(model="Virchow2", how=_PROBE, measure="balanced_accuracy", value=0.861, source=_EVA),
    PublishedResult(model="H-optimus-0", how=_PROBE, measure="balanced_accuracy", value=0.843, source=_EVA),
    PublishedResult(model="UNI", how=_PROBE, measure="balanced_accuracy", value=0.843, source=_EVA),
    PublishedResult(model="GigaPath", how=_PROBE, measure="balanced_accuracy", value=0.829, source=_EVA),
    PublishedResult(
        model="H-optimus-0", how=_PROBE, measure="accuracy", value=0.828, source="Bioptimus, at the release of H-optimus-0"
    ),
    PublishedResult(
        model="ResNet-18",
        how="ImageNet weights, fine-tuned",
        measure="auroc",
        value=0.927,
        source="Wei et al. 2021, A Petri Dish for Histopathology Image Analysis (MHIST)",
    ),
)
"""Facts §2. Nobody publishes an interval with them, so that only ours can say what 977 patches tell apart."""


class ClassAccuracy(StrictJson):
    """Patches of one class, and the fraction of them called right with its Wilson interval; null where there are none."""

    n: Count
    accuracy: Bounds | None


class AgreementRow(StrictJson):
    """Test patches on whose class ``agreement`` of the 7 annotators agreed, by true class in the order of the labels."""

    agreement: Literal[4, 5, 6, 7]
    n: Count
    accuracy: Bounds | None
    classes: tuple[ClassAccuracy, ClassAccuracy]


class ValidationReport(StrictJson):
    """How training ended on the validation patches, on which epoch and threshold were chosen."""

    patches: Count
    positives: Count
    accuracy: Probability
    auroc: Probability


class MhistModelIdentity(ModelIdentity):
    """``trained_on_these_patches``: patches.csv is the table that the model was trained from, so that its split holds."""

    labels: tuple[str, str]
    fine_tuning: FineTuning
    trained_on_these_patches: bool
    validation: ValidationReport


class MhistBlock(BinaryBlock):
    """``published_partition``: the test patches are as many as MHIST's own, without which ``published`` compares unlike things; of
    another table than MHIST's it is empty. So is ``agreement`` where the table has no votes."""

    task: Literal["mhist"]
    agreement: list[AgreementRow]
    published: list[Comparison[PublishedMeasure]]
    published_partition: bool
    model: MhistModelIdentity


class MhistEvaluation(StrictJson):
    """The whole file."""

    binary_classification_metrics: BinaryClassificationMetrics
    pathology: MhistBlock
