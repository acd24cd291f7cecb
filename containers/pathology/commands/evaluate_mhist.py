"""EvaluateMhist: the packaged model on the test patches, through the functions that serve it → scores, predictions, report."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pathology.contracts.code import closure
from pathology.contracts.errors import DataError, PathologyError
from pathology.contracts.evaluation import Bounds, EncoderReport, compare
from pathology.contracts.evaluation_mhist import (
    PUBLISHED_RESULTS,
    MhistBlock,
    MhistEvaluation,
    PatchModelIdentity,
    ValidationReport,
)
from pathology.contracts.features import sha256_of
from pathology.contracts.intervals import Interval
from pathology.contracts.settings_mhist import EvaluateMhist
from pathology.contracts.storage import write_whole
from pathology.contracts.tables import PatchPredictionRow, PatchRow
from pathology.datasets.mhist import PUBLISHED, read_content, read_patch, read_patches
from pathology.job import Job, run
from pathology.metrics.agreement import by_agreement
from pathology.metrics.binary import Scores
from pathology.models import serve_mhist
from pathology.models.archive import unpack
from pathology.models.mhist_artefact import MhistConfig, MhistModel
from pathology.report.cautions import other_code, shuffled, small, stand_in
from pathology.report.mhist import render

BATCH = 64
"""Patches decoded and predicted together: 10 MB of pixels, and enough for a GPU to be busy."""


def main(job: Job) -> None:
    """Predict every test patch, score them, write evaluation.json, predictions.csv and report.html."""
    settings = job.hyperparameters(EvaluateMhist)
    archive = job.file("model", ".tar.gz")
    table = job.file("patches", ".csv")
    images = job.input("images")
    with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
        unpack(archive, Path(folder))
        model = serve_mhist.model_fn(folder, job.input("models"))
    patches = read_patches(table)
    test = sorted((row for row in patches if row.split == "test"), key=lambda row: row.image)
    predictions = list(predict(test, images, model))

    scores = Scores(
        truth=np.array([row.label for row in predictions]),
        probability=np.array([row.probability for row in predictions]),
        threshold=model.config.threshold,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    intervals = scores.intervals()
    evaluation = MhistEvaluation(
        binary_classification_metrics=scores.metrics(intervals),
        pathology=_block(scores, intervals, predictions, patches, model, (archive, table)),
    )
    rows = {row.image: row for row in test}
    page = render(evaluation, predictions, lambda image: read_patch(images, rows[image], model.config.pixels))
    output = job.output("evaluation")
    write_whole(output / "predictions.csv", PatchPredictionRow.table(predictions))
    write_whole(output / "report.html", page.encode())
    write_whole(output / "evaluation.json", evaluation.to_json())
    for caution in evaluation.pathology.cautions:
        print(f"caution: {caution}")
    print(f"AUROC {intervals['auroc']}, {len(predictions)} patches, {int(scores.truth.sum())} positive")
    print(f"balanced accuracy {intervals['balanced_accuracy']}")


def read_request(row: PatchRow, images: Path, side: int) -> np.ndarray:
    """A patch's file, once it is the one the table names, through ``input_fn``: (side, side, 3) uint8.

    Raises:
        DataError: naming the patch that is gone, changed or no picture.
    """
    content = read_content(images, row)
    try:
        return serve_mhist.input_fn(content, serve_mhist.IMAGES[0], side)
    except PathologyError as error:
        raise DataError(f"patch {row.image}: {error}") from None


def predict(rows: Sequence[PatchRow], images: Path, model: MhistModel) -> Iterator[PatchPredictionRow]:
    """Each patch as a request to the endpoint would go, :data:`BATCH` of them at a time, in the order of ``rows``."""
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        answers = serve_mhist.predict_fn([read_request(row, images, model.config.pixels) for row in batch], model)
        for row, answer in zip(batch, answers, strict=True):
            said: dict[str, Any] = json.loads(serve_mhist.output_fn(answer, serve_mhist.JSON))
            yield PatchPredictionRow(
                image=row.image,
                label=row.label,
                votes=row.votes,
                probability=said["probability"],
                predicted=int(said["label"] == model.config.labels[1]),
            )


def _block(
    scores: Scores,
    intervals: dict[str, Interval],
    predictions: Sequence[PatchPredictionRow],
    patches: Sequence[PatchRow],
    model: MhistModel,
    files: tuple[Path, Path],
) -> MhistBlock:
    config = model.config
    archive_sha256, table_sha256 = (sha256_of(path) for path in files)
    code = closure(serve_mhist.__name__).hash
    trained_here = table_sha256 == config.inputs.get("patches")
    return MhistBlock(
        task="mhist",
        n=len(predictions),
        positives=int(scores.truth.sum()),
        threshold=config.threshold,
        confidence=scores.confidence,
        resamples=scores.resamples,
        seed=scores.seed,
        intervals={name: Bounds.of(interval) for name, interval in intervals.items()},
        brier=scores.brier(),
        calibration=scores.calibration(),
        agreement=by_agreement(scores.truth, np.array([row.votes for row in predictions]), scores.predicted, scores.confidence),
        published=compare(PUBLISHED_RESULTS, intervals),
        published_partition=len(predictions) == PUBLISHED["test"],
        model=PatchModelIdentity(
            archive_sha256=archive_sha256,
            config_sha256=model.sha256,
            version=model.version,
            labels=config.labels,
            tune=config.tune,
            trained_on_these_patches=trained_here,
            validation=ValidationReport(**config.validation.model_dump(include=set(ValidationReport.model_fields))),
            serving_code=config.serving_code,
            evaluated_with_code=code,
        ),
        encoder=EncoderReport(**config.encoder.model_dump(exclude={"dimension"})),
        data={"patches_sha256": table_sha256},
        cautions=cautions(config, scores, patches, code, trained_here),
    )


def cautions(config: MhistConfig, scores: Scores, patches: Sequence[PatchRow], code: str, trained_here: bool) -> list[str]:
    """What a reader must know before believing a number, most important first."""
    positives, n = int(scores.truth.sum()), len(scores.truth)
    found = stand_in(EncoderReport(**config.encoder.model_dump(exclude={"dimension"})), "pathology")
    found += shuffled(config.training) + small(positives, n - positives, "patches")
    if n != PUBLISHED["test"]:
        found.append(
            f"The test set holds {n:,} patches and MHIST's own {PUBLISHED['test']:,}: the published numbers are of another test "
            "and stand here for orientation only."
        )
    seen = {row.sha256 for row in patches if row.split != "test"}
    if copies := sum(row.sha256 in seen for row in patches if row.split == "test"):
        found.append(f"{copies} test patches have the very bytes of a train or validation patch: they are no test, and flatter.")
    if not trained_here:
        found.append("The model was trained from another patches table: make sure that none of these patches was in it.")
    return found + other_code(code, config.serving_code)


if __name__ == "__main__":
    run(main)
