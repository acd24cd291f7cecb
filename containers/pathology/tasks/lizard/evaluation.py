"""evaluation.json of lizard, out of what became of the test patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pathology.contracts.drift import NO_BASELINE
from pathology.contracts.evaluation import EncoderReport, Estimate, Measure, RegistryFacts, Seen, estimate, standing
from pathology.contracts.intervals import Interval
from pathology.contracts.intervals.clusters import Spread
from pathology.contracts.lizard.evaluate import (
    BaselineClass,
    ClassRow,
    Confusion,
    EvaluateLizard,
    LizardBlock,
    LizardEvaluation,
    MulticlassClassificationMetrics,
    NucleiBaseline,
    NucleiModelIdentity,
    NucleiScoreRow,
    NucleiValidation,
)
from pathology.contracts.lizard.patches import NucleiDataset
from pathology.contracts.lizard.published import beside_published, unit_of
from pathology.contracts.registry import registry_text
from pathology.evaluation import all_warnings, resampling
from pathology.metrics.panoptic import Detection
from pathology.nuclei.counts import CENTRAL
from pathology.tasks.lizard import serving
from pathology.tasks.lizard.artefact import LizardModel
from pathology.tasks.lizard.baseline import WORDS, StainBaseline
from pathology.tasks.lizard.scores import ClassScores, NucleiScores
from pathology.tasks.lizard.typed import matched_classification
from pathology.tasks.lizard.warnings import is_published, task_warnings


@dataclass(frozen=True)
class Predicted:
    """What became of the test patches, in their order: rows of predictions.csv, and how their nuclei match the true ones."""

    rows: list[NucleiScoreRow]
    detections: list[Detection]
    sources: list[str]


@dataclass(frozen=True)
class Simple:
    """The baseline, and its rows in the form of predictions.csv."""

    baseline: StainBaseline
    rows: list[NucleiScoreRow]

    def block(self, model: NucleiScores, classes: Sequence[str], draws: Mapping[str, Any]) -> NucleiBaseline:
        """Its scores beside those of the ``model``."""
        scores = NucleiScores.of(self.rows, classes, **draws)
        return NucleiBaseline(
            words=WORDS,
            fitted_patches=self.baseline.patches,
            fitted_sources=self.baseline.sources,
            threshold=self.baseline.threshold,
            nucleus_class=classes[self.baseline.kind - 1],
            intervals={name: estimate(measured) for name, measured in scores.intervals.items()},
            standing={
                name: standing(ours, scores.intervals[name].value) if isinstance(ours, Interval) else None
                for name, ours in model.intervals.items()
            },
            classes=[
                BaselineClass(name=name, count_error=of_class.count_error, r2=measured_or_none(of_class.r2))
                for name, of_class in scores.by_class.items()
            ],
        )


def evaluate(
    predicted: Predicted,
    simple: Simple,
    seen: Seen,
    dataset: NucleiDataset,
    model: LizardModel,
    model_identity: Mapping[str, Any],
    origins: Mapping[str, Any],
    settings: EvaluateLizard,
) -> LizardEvaluation:
    """Everything that evaluation.json says; ``model_identity`` is that of :func:`pathology.evaluation.identity`, ``origins`` :func:`where`.

    Raises:
        DataError: as :meth:`NucleiScores.of`.
    """
    draws, config = resampling(settings), model.config
    scores = NucleiScores.of(predicted.rows, dataset.classes, **draws)
    rows = [_class_row(name, of_class) for name, of_class in scores.by_class.items()]
    published = is_published(dataset, scores.patches)
    block = LizardBlock(
        task="lizard",
        **origins,
        side=dataset.side,
        central=min(CENTRAL, dataset.side),
        n=scores.patches,
        seen=seen,
        sources=scores.sources,
        nuclei=sum(row.true for row in rows),
        predicted=sum(row.predicted for row in rows),
        empty_patches=scores.empty_patches,
        **draws,
        intervals={name: estimate(measured) for name, measured in scores.intervals.items()},
        interval_methods={name: interval.method for name, interval in scores.intervals.items()},
        classes=rows,
        images={name: estimate(measured) for name, measured in scores.by_image.items()},
        confusion=_confusion(predicted.detections, dataset.classes),
        baseline=simple.block(scores, dataset.classes, draws),
        published=beside_published(
            {**scores.intervals, **centroid_f1s(scores)}, scores.by_image, unit_of(dataset.side), published
        ),
        published_partition=published,
        model=NucleiModelIdentity(
            **model_identity,
            classes=config.classes,
            mpp=config.mpp,
            fine_tuning=config.fine_tuning,
            trained_on_these_patches=config.inputs.get("patches") == dataset.patches_sha256,
            validation=NucleiValidation(**config.validation.model_dump(include=set(NucleiValidation.model_fields))),
        ),
        encoder=EncoderReport.of(config.encoder),
        data={name: getattr(dataset, name) for name in ("patches_sha256", "images_sha256", "labels_sha256")},
        warnings=all_warnings(model, serving, seen, task_warnings(scores, dataset), "pathology"),
        registry=RegistryFacts(
            labels=registry_text(":".join(config.classes)), drift_baseline_sha256=config.drift_baseline or NO_BASELINE
        ),
    )
    return LizardEvaluation(
        multiclass_classification_metrics=studio(predicted.detections, predicted.sources, settings), pathology=block
    )


def _class_row(name: str, scores: ClassScores) -> ClassRow:
    measures = ("pq", "dq", "sq", "f1", "centroid_f1", "centroid_f1_6", "r2")
    estimates: dict[str, Any] = {measure: measured_or_none(getattr(scores, measure)) for measure in measures}
    return ClassRow(
        name=name,
        true=scores.true,
        predicted=scores.predicted,
        true_central=scores.true_central,
        predicted_central=scores.predicted_central,
        count_error=scores.count_error,
        **estimates,
    )


def measured_or_none(measured: Interval | Spread | None) -> Estimate | None:
    """None of a class that is nowhere."""
    return None if measured is None else estimate(measured)


def centroid_f1s(scores: NucleiScores) -> dict[str, Interval | Spread]:
    """F1 by centroid of each class, by the names that published ones have."""
    found = {f"centroid_f1_{name}": of_class.centroid_f1 for name, of_class in scores.by_class.items()}
    return {name: measured for name, measured in found.items() if measured is not None}


def _confusion(detections: Sequence[Detection], classes: tuple[str, ...]) -> Confusion:
    return Confusion(
        classes=classes,
        matched=np.sum([detection.confusion for detection in detections], axis=0).tolist(),
        false_negatives=np.sum([detection.false_negatives for detection in detections], axis=0).tolist(),
        false_positives=np.sum([detection.false_positives for detection in detections], axis=0).tolist(),
    )


def studio(detections: Sequence[Detection], sources: Sequence[str], settings: EvaluateLizard) -> MulticlassClassificationMetrics:
    """Model Monitor's block on the classes of matched nuclei; ``sources`` are those of the patches."""
    draws = resampling(settings)
    cells = np.stack([detection.confusion for detection in detections])
    pooled, measures = matched_classification(cells, sources, **draws)
    constant = np.zeros_like(cells)
    constant[:, :, pooled.sum(axis=1).argmax()] = cells.sum(axis=2)
    _, best_constant = matched_classification(constant, sources, **draws)
    numbers = [str(number) for number in range(1, len(pooled) + 1)]
    return MulticlassClassificationMetrics(
        confusion_matrix={
            actual: dict(zip(numbers, row, strict=True)) for actual, row in zip(numbers, pooled.tolist(), strict=True)
        },
        **{name: Measure.of(interval) for name, interval in measures.items()},
        **{f"{name}_best_constant_classifier": Measure.of(interval) for name, interval in best_constant.items()},
    )
