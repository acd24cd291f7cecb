"""EvaluateLizard: the packaged model on the test patches, through the function that serves it → scores, predictions, report."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathology.contracts.code import closure
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Bounds, EncoderReport, Measure, compare
from pathology.contracts.evaluation_lizard import (
    PUBLISHED_RESULTS,
    ClassRow,
    Confusion,
    LizardBlock,
    LizardEvaluation,
    MulticlassClassificationMetrics,
    NucleiModelIdentity,
    NucleiValidation,
)
from pathology.contracts.features import sha256_of
from pathology.contracts.intervals import Interval
from pathology.contracts.settings_lizard import LIZARD_CLASSES, EvaluateLizard
from pathology.contracts.storage import write_whole
from pathology.contracts.tables_lizard import NucleiPatchRow, NucleiScoreRow
from pathology.datasets.conic import Nuclei, NucleiDataset, read_prepared
from pathology.datasets.conic_split import PUBLISHED
from pathology.job import Job, run
from pathology.metrics.nuclei import ClassScores, NucleiScores, matched_classification, patch_rows
from pathology.metrics.panoptic import Detection, detect
from pathology.models import serve_lizard
from pathology.models.archive import unpack
from pathology.models.lizard_artefact import LizardConfig, LizardModel
from pathology.report.cautions import FEW, other_code, shuffled, stand_in
from pathology.report.lizard import Example, render


@dataclass(frozen=True)
class Predicted:
    """What became of the test patches, in their order: rows of predictions.csv, and how their nuclei match the true ones."""

    rows: list[NucleiScoreRow]
    detections: list[Detection]
    sources: list[str]


def main(job: Job) -> None:
    """Predict every test patch, score them, write evaluation.json, predictions.csv and report.html."""
    settings = job.hyperparameters(EvaluateLizard)
    archive = job.file("model", ".tar.gz")
    patches, dataset = read_prepared(job.input("patches"))
    test = sorted((row for row in patches if row.split == "test"), key=lambda row: row.name)
    nuclei = Nuclei(job.input("dataset"), test, dataset)
    with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
        unpack(archive, Path(folder))
        model = serve_lizard.model_fn(folder, job.input("models"))
    check_classes(model.config, dataset)
    with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
        maps = spool(Path(folder) / "predicted.npy", nuclei, dataset, model)
        predicted = score(nuclei, maps, dataset.classes)
        evaluation = evaluate(predicted, patches, dataset, model, sha256_of(archive), settings)
        page = render(evaluation, predicted.rows, lambda name: example(name, nuclei, maps))
    output = job.output("evaluation")
    write_whole(output / "predictions.csv", NucleiScoreRow.table(predicted.rows))
    write_whole(output / "report.html", page.encode())
    write_whole(output / "evaluation.json", evaluation.to_json())
    block = evaluation.pathology
    for caution in block.cautions:
        print(f"caution: {caution}")
    print(f"{block.n} patches of {block.sources} source images, {block.nuclei:,} nuclei, {block.predicted:,} found")
    for name, bounds in block.intervals.items():
        print(f"{name} {Interval(bounds.value, bounds.low, bounds.high, 0.0, block.confidence)}")


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
    for start in range(0, len(nuclei), serve_lizard.BATCH):
        images = [nuclei[index][0] for index in range(start, min(start + serve_lizard.BATCH, len(nuclei)))]
        for index, prediction in enumerate(serve_lizard.predict_fn(images, model), start):
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
    patches: Sequence[NucleiPatchRow],
    dataset: NucleiDataset,
    model: LizardModel,
    archive_sha256: str,
    settings: EvaluateLizard,
) -> LizardEvaluation:
    """Everything that evaluation.json says.

    Raises:
        DataError: as :meth:`NucleiScores.of`.
    """
    draws = settings.model_dump(include={"resamples", "confidence", "seed"})
    scores = NucleiScores.of(predicted.rows, dataset.classes, **draws)
    config, code = model.config, closure(serve_lizard.__name__).hash
    trained_here = config.inputs.get("patches") == dataset.patches_sha256
    rows = [_class_row(name, found) for name, found in scores.by_class.items()]
    block = LizardBlock(
        task="lizard",
        n=scores.patches,
        sources=scores.sources,
        nuclei=sum(row.true for row in rows),
        predicted=sum(row.predicted for row in rows),
        empty_patches=scores.empty_patches,
        **draws,
        intervals={name: Bounds.of(found) for name, found in scores.intervals.items()},
        classes=rows,
        confusion=_confusion(predicted.detections, dataset.classes),
        published=compare(PUBLISHED_RESULTS, scores.intervals),
        published_partition=is_published(dataset, scores.patches),
        model=NucleiModelIdentity(
            archive_sha256=archive_sha256,
            config_sha256=model.sha256,
            version=model.version,
            classes=config.classes,
            tuning=config.tuning,
            trained_on_these_patches=trained_here,
            validation=NucleiValidation(**config.validation.model_dump(include=set(NucleiValidation.model_fields))),
            serving_code=config.serving_code,
            evaluated_with_code=code,
        ),
        encoder=EncoderReport(**config.encoder.model_dump(include=set(EncoderReport.model_fields))),
        data={name: getattr(dataset, name) for name in ("patches_sha256", "images_sha256", "labels_sha256")},
        cautions=cautions(config, scores, patches, dataset, code),
    )
    return LizardEvaluation(
        multiclass_classification_metrics=studio(predicted.detections, predicted.sources, settings), pathology=block
    )


def is_published(dataset: NucleiDataset, test: int) -> bool:
    """Whether the test patches are those of the published numbers: as many, of fold 0, of Lizard's classes."""
    return dataset.settings.fold == 0 and test == PUBLISHED["test"] and dataset.classes == LIZARD_CLASSES


def _class_row(name: str, found: ClassScores) -> ClassRow:
    return ClassRow(
        name=name,
        true=found.true,
        predicted=found.predicted,
        true_central=found.true_central,
        predicted_central=found.predicted_central,
        pq=_bounds(found.pq),
        dq=_bounds(found.dq),
        sq=_bounds(found.sq),
        f1=_bounds(found.f1),
        r2=_bounds(found.r2),
    )


def _bounds(found: Interval | None) -> Bounds | None:
    return Bounds.of(found) if found else None


def _confusion(detections: Sequence[Detection], classes: tuple[str, ...]) -> Confusion:
    return Confusion(
        classes=classes,
        matched=np.sum([found.confusion for found in detections], axis=0).tolist(),
        missed=np.sum([found.missed for found in detections], axis=0).tolist(),
        surplus=np.sum([found.surplus for found in detections], axis=0).tolist(),
    )


def studio(detections: Sequence[Detection], sources: Sequence[str], settings: EvaluateLizard) -> MulticlassClassificationMetrics:
    """Model Monitor's block on the classes of matched nuclei; ``sources`` are those of the patches."""
    draws = settings.model_dump(include={"resamples", "confidence", "seed"})
    cells = np.stack([found.confusion for found in detections])
    pooled, found = matched_classification(cells, sources, **draws)
    constant = np.zeros_like(cells)
    constant[:, :, pooled.sum(axis=1).argmax()] = cells.sum(axis=2)
    _, best_constant = matched_classification(constant, sources, **draws)
    numbers = [str(number) for number in range(1, len(pooled) + 1)]
    return MulticlassClassificationMetrics(
        confusion_matrix={
            actual: dict(zip(numbers, row, strict=True)) for actual, row in zip(numbers, pooled.tolist(), strict=True)
        },
        **{name: Measure.of(own) for name, own in found.items()},
        **{f"{name}_best_constant_classifier": Measure.of(own) for name, own in best_constant.items()},
    )


def cautions(
    config: LizardConfig, scores: NucleiScores, patches: Sequence[NucleiPatchRow], dataset: NucleiDataset, code: str
) -> list[str]:
    """What a reader must know before believing a number, most important first."""
    found = stand_in(EncoderReport(**config.encoder.model_dump(include=set(EncoderReport.model_fields))), "pathology")
    found += shuffled(config.training)
    if scores.sources < FEW:
        found.append(
            f"The test patches come from {scores.sources} source images only, and patches of one image are alike: read the "
            "intervals, not the single numbers."
        )
    found += rare_classes(scores)
    if not is_published(dataset, scores.patches):
        found.append(
            f"These {scores.patches:,} test patches are not the {PUBLISHED['test']:,} of Lizard's fold 0 with its six classes: the "
            "published numbers are of another test and stand here for orientation only."
        )
    sides = {row.name: row.split for row in patches}
    groups = [[sides[name] for name in names] for names in dataset.identical]
    if copies := sum(group.count("test") for group in groups if set(group) != {"test"}):
        found.append(f"{copies} test patches have the very pixels of a train or validation patch: they are no test, and flatter.")
    if config.inputs.get("patches") != dataset.patches_sha256:
        found.append("The model was trained from another patches table: make sure that none of these patches was in it.")
    return found + other_code(code, config.serving_code)


def rare_classes(scores: NucleiScores) -> list[str]:
    """Said of classes with fewer than :data:`FEW` true nuclei, and of those with none."""
    absent = [name for name, own in scores.by_class.items() if not own.true]
    rare = [f"{own.true} {name}" for name, own in scores.by_class.items() if 0 < own.true < FEW]
    found = []
    if absent:
        found.append(f"No {' and no '.join(absent)} nucleus is in the test patches: nothing is proven of finding them.")
    if rare:
        found.append(f"The test patches hold only {', '.join(rare)} nuclei: their class's scores say little.")
    return found


if __name__ == "__main__":
    run(main)
