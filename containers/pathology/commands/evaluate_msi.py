"""EvaluateMsi: the packaged model on the test patients, through the functions that serve it → scores, predictions, report."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pathology.contracts.code import closure
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Bounds, EncoderReport, Evaluation, ModelIdentity, NotEvaluable, PathologyBlock
from pathology.contracts.features import sha256_of
from pathology.contracts.intervals import Interval
from pathology.contracts.settings_msi import EvaluateMsi
from pathology.contracts.storage import write_whole
from pathology.contracts.tables import PredictionRow, SlideRow, read_cohort
from pathology.datasets.bags import Patient, patients_of
from pathology.job import Job, run
from pathology.metrics.binary import Scores
from pathology.models import serve_msi
from pathology.models.archive import unpack
from pathology.models.artefact import Artefact
from pathology.report.cautions import other_code, shuffled, small, stand_in
from pathology.report.msi import render


def main(job: Job) -> None:
    """Predict every test patient, score them, write evaluation.json, predictions.csv and report.html."""
    settings = job.hyperparameters(EvaluateMsi)
    archive = job.file("model", ".tar.gz")
    tables = {"cohort": job.file("cohort", ".csv"), "slides": job.file("slides", ".csv")}
    with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
        unpack(archive, Path(folder))
        artefact = serve_msi.model_fn(folder)

    test = [row for row in read_cohort(tables["cohort"]) if row.split == "test"]
    slides = SlideRow.read(tables["slides"])
    patients, lost = patients_of(test, slides)
    not_evaluable = [_not_evaluable(patient, test, slides) for patient in lost]
    for patient in not_evaluable:
        print(f"not evaluable: patient {patient.patient_id}, {patient.reason}")
    predictions = [predict(patient, artefact) for patient in patients]
    _check_classes(predictions, not_evaluable)

    scores = Scores(
        truth=np.array([row.label for row in predictions]),
        probability=np.array([row.probability for row in predictions]),
        threshold=artefact.config.threshold,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    intervals = scores.intervals()
    evaluation = Evaluation(
        binary_classification_metrics=scores.metrics(intervals),
        pathology=_block(scores, intervals, predictions, not_evaluable, artefact, archive, tables),
    )
    output = job.output("evaluation")
    write_whole(output / "predictions.csv", PredictionRow.table(predictions))
    write_whole(output / "report.html", render(evaluation, predictions).encode())
    write_whole(output / "evaluation.json", evaluation.to_json())
    for caution in evaluation.pathology.cautions:
        print(f"caution: {caution}")
    print(f"AUROC {intervals['auroc']}, {len(predictions)} patients, {int(scores.truth.sum())} positive")


def predict(patient: Patient, artefact: Artefact) -> PredictionRow:
    """One patient through ``input_fn``, ``predict_fn`` and ``output_fn``, as a request to the endpoint would go."""
    slides = [{"slide_id": row.slide_id, "features": row.features, "sha256": row.sha256} for row in patient.slides]
    request = serve_msi.input_fn(json.dumps({"slides": slides}), serve_msi.JSON)
    answer: dict[str, Any] = json.loads(serve_msi.output_fn(serve_msi.predict_fn(request, artefact), serve_msi.JSON))
    return PredictionRow(
        patient_id=patient.patient_id,
        site=patient.site,
        slides=len(patient.slides),
        label=patient.label,
        probability=answer["probability"],
        fold_deviation=float(np.std(answer["fold_probabilities"])),
        predicted=int(answer["label"] == artefact.config.labels[1]),
    )


def _not_evaluable(patient: Patient, test: Sequence[Any], slides: Sequence[SlideRow]) -> NotEvaluable:
    own = {row.slide_id for row in test if row.patient_id == patient.patient_id}
    reasons = sorted({f"{row.status}{': ' + row.reason if row.reason else ''}" for row in slides if row.slide_id in own})
    return NotEvaluable(
        patient_id=patient.patient_id, label=1 if patient.label else 0, slides=len(own), reason="; ".join(reasons)
    )


def _check_classes(predictions: Sequence[PredictionRow], lost: Sequence[NotEvaluable]) -> None:
    labels = [row.label for row in predictions]
    if len(set(labels)) < 2:
        raise DataError(
            f"of the test patients with features {sum(labels)} are positive and {len(labels) - sum(labels)} negative "
            f"({len(lost)} have none): both classes are needed, look at slides.csv for what failed"
        )


def _block(
    scores: Scores,
    intervals: dict[str, Interval],
    predictions: Sequence[PredictionRow],
    not_evaluable: list[NotEvaluable],
    artefact: Artefact,
    archive: Path,
    tables: dict[str, Path],
) -> PathologyBlock:
    config = artefact.config
    code = closure(serve_msi.__name__).hash
    data = {f"{name}_sha256": sha256_of(path) for name, path in tables.items()}
    trained_here = data["cohort_sha256"] == config.inputs.get("cohort")
    return PathologyBlock(
        task="msi",
        n=len(predictions),
        positives=int(scores.truth.sum()),
        slides=sum(row.slides for row in predictions),
        not_evaluable=not_evaluable,
        threshold=config.threshold,
        confidence=scores.confidence,
        resamples=scores.resamples,
        seed=scores.seed,
        intervals={name: Bounds.of(interval) for name, interval in intervals.items()},
        brier=scores.brier(),
        calibration=scores.calibration(),
        sites=scores.by_site(row.site for row in predictions),
        model=ModelIdentity(
            archive_sha256=sha256_of(archive),
            config_sha256=artefact.sha256,
            folds=len(config.folds),
            labels=config.labels,
            trained_on_this_cohort=trained_here,
            out_of_fold_auroc=Bounds(value=config.out_of_fold.auroc, low=config.out_of_fold.low, high=config.out_of_fold.high),
            serving_code=config.serving_code,
            evaluated_with_code=code,
        ),
        encoder=EncoderReport(**config.encoder.model_dump(exclude={"dimension"})),
        data=data,
        cautions=cautions(artefact, scores, len(not_evaluable), code, trained_here),
    )


def cautions(artefact: Artefact, scores: Scores, lost: int, code: str, trained_here: bool) -> list[str]:
    """What a reader must know before believing a number, most important first."""
    config = artefact.config
    positives = int(scores.truth.sum())
    found = stand_in(EncoderReport(**config.encoder.model_dump(exclude={"dimension"})))
    found += shuffled(config.training) + small(positives, len(scores.truth) - positives)
    if lost:
        found.append(f"{lost} test patients have no slide that could be evaluated; they are listed and in no number.")
    if not trained_here:
        found.append("The model was trained from another cohort table: make sure that none of these patients was in it.")
    return found + other_code(code, config.serving_code)


if __name__ == "__main__":
    run(main)
