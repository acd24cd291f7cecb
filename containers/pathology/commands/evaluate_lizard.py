"""EvaluateLizard: the packaged model on the test patches, through the function that serves it → scores, predictions, report."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Bounds, EncoderReport, Measure, RegistryFacts, Seen, compare
from pathology.contracts.intervals import Interval
from pathology.contracts.lizard.evaluate import (
    PUBLISHED_RESULTS,
    ClassRow,
    Confusion,
    EvaluateLizard,
    LizardBlock,
    LizardEvaluation,
    MulticlassClassificationMetrics,
    NucleiModelIdentity,
    NucleiScoreRow,
    NucleiValidation,
    unit_of,
)
from pathology.contracts.lizard.patches import LIZARD_CLASSES, PUBLISHED, TABLE, NucleiDataset
from pathology.contracts.registry import registry_text
from pathology.evaluation import all_warnings, check_seen, identity, load_packaged, origin, resampling, write_evaluation
from pathology.job import Job, run
from pathology.metrics.panoptic import Detection, detect
from pathology.nuclei.counts import CENTRAL
from pathology.report.warnings import FEW
from pathology.tasks.lizard import serving
from pathology.tasks.lizard.artefact import LizardConfig, LizardModel
from pathology.tasks.lizard.dataset import Nuclei, read_prepared
from pathology.tasks.lizard.learned_from import items
from pathology.tasks.lizard.report import Example, render
from pathology.tasks.lizard.scores import ClassScores, NucleiScores, matched_classification, patch_rows


@dataclass(frozen=True)
class Predicted:
    """What became of the test patches, in their order: rows of predictions.csv, and how their nuclei match the true ones."""

    rows: list[NucleiScoreRow]
    detections: list[Detection]
    sources: list[str]


def main(job: Job) -> None:
    """Predict every test patch, score them, write evaluation.json, predictions.csv and report.html."""
    settings = job.hyperparameters(EvaluateLizard)
    patches, dataset = read_prepared(job.input("patches"))
    test = sorted((row for row in patches if row.split == "test"), key=lambda row: row.name)
    nuclei = Nuclei(job.input("dataset"), test, dataset)
    model: LizardModel
    model, learned_from, _ = load_packaged(job, serving, job.input("models"))
    check_classes(model.config, dataset)
    seen = check_seen(learned_from, items(nuclei), "patches", settings)
    with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
        maps = spool(Path(folder) / "predicted.npy", nuclei, dataset, model)
        predicted = score(nuclei, maps, dataset.classes)
        evaluation = evaluate(predicted, seen, dataset, model, identity(job, model, serving), where(job), settings)
        page = render(evaluation, predicted.rows, lambda name: example(name, nuclei, maps))
    write_evaluation(job, evaluation, NucleiScoreRow.table(predicted.rows), page)
    block = evaluation.pathology
    print(f"{block.n} patches of {block.sources} source images, {block.nuclei:,} nuclei, {block.predicted:,} found")
    for name, bounds in block.intervals.items():
        print(f"{name} {Interval(bounds.value, bounds.low, bounds.high, 0.0, block.confidence)}")


def where(job: Job) -> dict[str, Any]:
    """The fields of evaluation.json that say where numbers come from."""
    arrays = {name: ("dataset", job.input("dataset") / f"{name}.npy") for name in ("images", "labels")}
    return origin(job, patches=("patches", job.input("patches") / TABLE), **arrays)


def check_classes(config: LizardConfig, dataset: NucleiDataset) -> None:
    """Refuse a model whose class numbers mean something else here.

    Raises:
        DataError: naming both lists of classes.
    """
    if config.classes != dataset.classes:
        raise DataError(
            f"the model knows {', '.join(config.classes)} and the patches have {', '.join(dataset.classes)}: "
            "give the data set that it was trained for"
        )


def spool(path: Path, nuclei: Nuclei, dataset: NucleiDataset, model: LizardModel) -> np.ndarray:
    """Predict each patch as a request to the endpoint would be: label maps (n, S, S, 2) uint16, mapped from ``path``.

    Out of a PNG ``input_fn`` would give the patch's own pixels, so that detour is left out. The maps are on disk because the report
    draws some of them, and which is known at the end only.
    """
    maps = np.lib.format.open_memmap(path, "w+", np.uint16, (len(nuclei), dataset.side, dataset.side, 2))
    for start in range(0, len(nuclei), serving.BATCH):
        images = [nuclei[index][0] for index in range(start, min(start + serving.BATCH, len(nuclei)))]
        for index, prediction in enumerate(serving.predict_fn(images, model), start):
            maps[index] = prediction.labels
    return maps


def score(nuclei: Nuclei, maps: np.ndarray, classes: Sequence[str]) -> Predicted:
    """Hold label maps (n, S, S, 2) against the truth of ``nuclei``, patch by patch."""
    predicted = Predicted([], [], [row.source for row in nuclei.rows])
    for index, row in enumerate(nuclei.rows):
        _, true = nuclei[index]
        predicted.rows.extend(patch_rows(row.name, row.source, true, maps[index], classes))
        predicted.detections.append(detect(true, maps[index], len(classes)))
    return predicted


def example(name: str, nuclei: Nuclei, maps: np.ndarray) -> Example:
    """A patch for the report, by name."""
    index = next(index for index, row in enumerate(nuclei.rows) if row.name == name)
    image, true = nuclei[index]
    return Example(image, true, np.array(maps[index]))


def evaluate(
    predicted: Predicted,
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
        intervals={name: Bounds.of(interval) for name, interval in scores.intervals.items()},
        interval_methods={name: interval.method for name, interval in scores.intervals.items()},
        classes=rows,
        confusion=_confusion(predicted.detections, dataset.classes),
        published=compare(PUBLISHED_RESULTS, scores.intervals, unit_of(dataset.side), published),
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
        registry=RegistryFacts(labels=registry_text(":".join(config.classes))),
    )
    return LizardEvaluation(
        multiclass_classification_metrics=studio(predicted.detections, predicted.sources, settings), pathology=block
    )


def is_published(dataset: NucleiDataset, test: int) -> bool:
    """Whether the test patches are those of the published numbers: as many, of fold 0, of Lizard's classes."""
    return dataset.fold == 0 and test == PUBLISHED["test"] and dataset.classes == LIZARD_CLASSES


def _class_row(name: str, scores: ClassScores) -> ClassRow:
    return ClassRow(
        name=name,
        true=scores.true,
        predicted=scores.predicted,
        true_central=scores.true_central,
        predicted_central=scores.predicted_central,
        pq=_bounds(scores.pq),
        dq=_bounds(scores.dq),
        sq=_bounds(scores.sq),
        f1=_bounds(scores.f1),
        r2=_bounds(scores.r2),
    )


def _bounds(interval: Interval | None) -> Bounds | None:
    return Bounds.of(interval) if interval else None


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


def task_warnings(scores: NucleiScores, dataset: NucleiDataset) -> list[str]:
    """What a reader must know of this test before believing a number, most important first."""
    warnings = []
    if scores.sources < FEW:
        warnings.append(
            f"The test patches come from {scores.sources} source images only, and patches of one image are alike: read the "
            "intervals, not the single numbers."
        )
    warnings += rare_classes(scores)
    if not is_published(dataset, scores.patches):
        warnings.append(
            f"These {scores.patches:,} test patches are not the {PUBLISHED['test']:,} of Lizard's fold 0 with its six classes: the "
            "published numbers are of another test and stand here for orientation only."
        )
    return warnings


def rare_classes(scores: NucleiScores) -> list[str]:
    """Said of classes with fewer than :data:`FEW` true nuclei, and of those with none."""
    absent = [name for name, of_class in scores.by_class.items() if not of_class.true]
    rare = [f"{of_class.true} {name}" for name, of_class in scores.by_class.items() if 0 < of_class.true < FEW]
    warnings = []
    if absent:
        warnings.append(f"No {' and no '.join(absent)} nucleus is in the test patches: nothing is proven of finding them.")
    if rare:
        warnings.append(f"The test patches hold only {', '.join(rare)} nuclei: their class's scores say little.")
    return warnings


if __name__ == "__main__":
    run(main)
