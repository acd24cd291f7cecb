"""evaluation.json of mhist: Studio's metrics as for msi, and a block on patches, annotators and published numbers."""

from __future__ import annotations

from typing import Literal

from pathology.contracts.evaluation import (
    BinaryClassificationMetrics,
    Bounds,
    CalibrationBin,
    Comparison,
    Count,
    EncoderReport,
    Probability,
    Published,
)
from pathology.contracts.settings_mhist import Tune
from pathology.contracts.strict_json import StrictJson

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
    """Patches of one class, and the share of them called right with its Wilson interval; null where there are none."""

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


class PatchModelIdentity(StrictJson):
    """What was evaluated: hashes of the archive and of its configuration, which holds those of all weights.

    ``version`` is what the endpoint answers; ``trained_on_these_patches``: patches.csv is the table that the model was trained
    from, so that its split holds.
    """

    archive_sha256: str
    config_sha256: str
    version: str
    labels: tuple[str, str]
    tune: Tune
    trained_on_these_patches: bool
    validation: ValidationReport
    serving_code: str
    evaluated_with_code: str


class MhistBlock(StrictJson):
    """What a pathologist and an auditor ask for beside Studio's numbers; class 1 is positive.

    ``published_partition``: the test patches are as many as MHIST's own, without which ``published`` compares unlike things.
    """

    task: Literal["mhist"]
    n: Count
    positives: Count
    threshold: Probability
    confidence: float
    resamples: Count
    seed: Count
    intervals: dict[str, Bounds]
    brier: float
    calibration: list[CalibrationBin]
    agreement: list[AgreementRow]
    published: list[Comparison[PublishedMeasure]]
    published_partition: bool
    model: PatchModelIdentity
    encoder: EncoderReport
    data: dict[str, str]
    cautions: list[str]


class MhistEvaluation(StrictJson):
    """The whole file."""

    binary_classification_metrics: BinaryClassificationMetrics
    pathology: MhistBlock
