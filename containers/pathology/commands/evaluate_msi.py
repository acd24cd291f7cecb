"""EvaluateMsi: the packaged model on the test patients, through the functions that serve it → scores, predictions, report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pathology.contracts.cohort import CohortRow, SlideRow, read_cohort
from pathology.contracts.cohort_flow import FLOW, CohortFlow, read_flow, with_tissue
from pathology.contracts.drift import NO_BASELINE
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Bounds, EncoderReport, Seen
from pathology.contracts.hashes import sha256_of
from pathology.contracts.intervals import Interval
from pathology.contracts.media import GEOJSON, JSON
from pathology.contracts.msi.evaluate import (
    ESCAPED,
    SEPARATOR,
    EnsembleCalibration,
    EnsembleIdentity,
    EvaluateMsi,
    MsiBlock,
    MsiEvaluation,
    MsiRegistry,
    NotEvaluable,
    PatientPredictionRow,
    TilesRead,
)
from pathology.contracts.registry import registry_text
from pathology.encoders.job_encoder import named_encoder
from pathology.evaluation import (
    all_warnings,
    binary_labels,
    check_seen,
    identity,
    load_packaged,
    origin,
    write_evaluation,
)
from pathology.job import Job, run
from pathology.metrics.baseline import baseline_line, score_baseline
from pathology.metrics.binary import Scores
from pathology.report.warnings import small
from pathology.tasks.msi import baseline, serving
from pathology.tasks.msi.artefact import Ensemble, MsiConfig
from pathology.tasks.msi.dataset import Patient, patients_of
from pathology.tasks.msi.learned_from import items
from pathology.tasks.msi.report import render
from pathology.tasks.msi.slides import figures, read_otherwise, total_tiles

OUTLINED = 16
"""Patients whose attention is written as GeoJSON too, to prove that it can be: up to a second of each."""


def main(job: Job) -> None:
    """Predict every test patient, score them, write evaluation.json, predictions.csv and report.html."""
    settings = job.hyperparameters(EvaluateMsi)
    tables = {"cohort": job.file("cohort", ".csv"), "slides": job.file("slides", ".csv")}
    model: Ensemble
    model, learned_from, fitted = load_packaged(job, serving)
    check_encoder(model.config, named_encoder(job))

    cohort, slides = read_cohort(tables["cohort"]), SlideRow.read(tables["slides"])
    flow, cohort_warnings = read_flow(job.file("flow", FLOW), cohort)
    cohort_warnings += read_otherwise(slides)
    flow = with_tissue(flow, cohort, slides)
    test = [row for row in cohort if row.split == "test"]
    patients, lost = patients_of(test, slides)
    seen = check_seen(learned_from, items(patients), "patients", settings)
    not_evaluable = [_not_evaluable(patient, test, slides) for patient in lost]
    for patient in not_evaluable:
        print(f"not evaluable: patient {patient.patient_id}, {patient.reason}")
    asked = [ask(patient, model, outlined=number < OUTLINED) for number, patient in enumerate(patients)]
    answers = [answer for answer, _ in asked]
    uris = {row.slide_id: row.slide_uri for row in test}
    predictions = [prediction(patient, answer, model, uris) for patient, answer in zip(patients, answers, strict=True)]
    _check_classes(predictions, not_evaluable)

    scores = Scores.of(predictions, model.config, settings)
    intervals = scores.intervals()
    tile_means = np.stack([tile_mean for _, tile_mean in asked])
    simple = score_baseline(fitted, baseline.KIND, lambda: tile_means, scores.truth, intervals, settings.confidence)
    evaluation = MsiEvaluation(
        binary_classification_metrics=scores.metrics(intervals),
        pathology=MsiBlock(
            **_block(job, scores, intervals, predictions, not_evaluable, seen, model, tables, flow, cohort_warnings),
            tiles=total_tiles([TilesRead(**answer["tiles"]) for answer in answers]),
            sides={split: figures(cohort, slides, split) for split in ("train", "test")},
            baseline=simple,
        ),
    )
    write_evaluation(job, evaluation, PatientPredictionRow.table(predictions), render(evaluation, predictions))
    print(f"AUROC {intervals['auroc']}, {len(predictions)} patients, {int(scores.truth.sum())} positive")
    print(baseline_line(simple))


def check_encoder(config: MsiConfig, manifest: EncoderManifest) -> None:
    """Refuse a model of another encoder's features.

    Raises:
        DataError: naming both.
    """
    if config.encoder.sha256 != manifest.sha256:
        raise DataError(
            f"the model reads features of encoder {config.encoder.name} ({config.encoder.sha256[:12]}…), and the cohort was prepared with "
            f"{manifest.name} ({manifest.sha256[:12]}…): start again"
        )


def ask(patient: Patient, model: Ensemble, outlined: bool) -> tuple[dict[str, Any], np.ndarray]:
    """The answer on one patient, through ``input_fn``, ``predict_fn`` and ``output_fn``, as a request to the endpoint would go.

    Beside it the mean (D,) of the patient's tile features, which the baseline takes. Where it is to be ``outlined`` the endpoint's other
    answer, attention as GeoJSON, is written too.

    Raises:
        DataError: naming the patient whose GeoJSON is not of the tiles that were pooled.
    """
    slides = [{"slide_id": row.slide_id, "features": row.features, "sha256": row.sha256} for row in patient.slides]
    request = serving.input_fn(json.dumps({"slides": slides}), JSON)
    predicted = serving.predict_fn(request, model)
    answer = json.loads(serving.output_fn(predicted, JSON))
    if outlined:
        collection, pooled = json.loads(serving.output_fn(predicted, GEOJSON)), answer["tiles"]["pooled"]
        of = len(collection["features"]) + collection["tiles_left_out"]
        if of != pooled:
            raise DataError(
                f"patient {patient.patient_id}: the endpoint's GeoJSON is of {of} tiles and {pooled} were pooled: correct what writes it"
            )
    return answer, predicted.tile_mean


def prediction(patient: Patient, answer: dict[str, Any], model: Ensemble, slide_uris: Mapping[str, str]) -> PatientPredictionRow:
    """The row of predictions.csv; ``slide_uris`` say by slide id where slides lie."""
    slide_ids = [row.slide_id for row in patient.slides]
    return PatientPredictionRow(
        patient_id=patient.patient_id,
        site=patient.site,
        slides=len(patient.slides),
        label=patient.label,
        probability=answer["probability"],
        fold_std=answer["fold_std"],
        predicted=int(answer["label"] == model.config.labels[1]),
        slide_ids=SEPARATOR.join(slide_ids),
        slide_uris=SEPARATOR.join(slide_uris[name].replace(SEPARATOR, ESCAPED) for name in slide_ids),
    )


def _not_evaluable(patient: Patient, test: Sequence[CohortRow], slides: Sequence[SlideRow]) -> NotEvaluable:
    slide_ids = {row.slide_id for row in test if row.patient_id == patient.patient_id}
    reasons = sorted({f"{row.status}{': ' + row.reason if row.reason else ''}" for row in slides if row.slide_id in slide_ids})
    return NotEvaluable(
        patient_id=patient.patient_id, label=1 if patient.label else 0, slides=len(slide_ids), reason="; ".join(reasons)
    )


def _check_classes(predictions: Sequence[PatientPredictionRow], lost: Sequence[NotEvaluable]) -> None:
    labels = [row.label for row in predictions]
    if len(set(labels)) < 2:
        raise DataError(
            f"of the test patients with features {sum(labels)} are positive and {len(labels) - sum(labels)} negative "
            f"({len(lost)} have none): both classes are needed, look at slides.csv for what failed"
        )


def _block(
    job: Job,
    scores: Scores,
    intervals: dict[str, Interval],
    predictions: Sequence[PatientPredictionRow],
    not_evaluable: list[NotEvaluable],
    seen: Seen,
    model: Ensemble,
    tables: dict[str, Path],
    flow: CohortFlow,
    cohort_warnings: list[str],
) -> dict[str, Any]:
    """The block of evaluation.json by field, but for what is said of tiles and slides."""
    config = model.config
    data = {f"{name}_sha256": sha256_of(path) for name, path in tables.items()}
    return {
        **scores.block(intervals),
        **origin(job, **{name: (name, path) for name, path in tables.items()}),
        "task": "msi",
        "seen": seen,
        "slides": sum(row.slides for row in predictions),
        "not_evaluable": not_evaluable,
        "sites": scores.by_site(row.site for row in predictions),
        "flow": flow,
        "model": EnsembleIdentity(
            **identity(job, model, serving),
            folds=len(config.folds),
            epochs=[fold.epoch for fold in config.folds],
            labels=config.labels,
            trained_on_this_cohort=data["cohort_sha256"] == config.inputs.get("cohort"),
            calibration=None
            if config.calibration is None
            else EnsembleCalibration(**config.calibration.model_dump(include=set(EnsembleCalibration.model_fields))),
            out_of_fold_auroc=Bounds(value=config.out_of_fold.auroc, low=config.out_of_fold.low, high=config.out_of_fold.high),
        ),
        "encoder": EncoderReport.of(config.encoder),
        "data": data,
        "warnings": all_warnings(
            model,
            serving,
            seen,
            [*task_warnings(scores, len(not_evaluable)), *about_probabilities(config), *_about_the_cohort(cohort_warnings, flow)],
            "patients",
        ),
        "registry": registry_facts(config),
    }


def registry_facts(config: MsiConfig) -> MsiRegistry:
    """What a model version says of the run."""
    side, mpp = (config.tiling.get(name, "unknown") for name in ("tile_size", "tile_mpp"))
    return MsiRegistry(
        labels=binary_labels(config.labels),
        drift_baseline_sha256=config.drift_baseline or NO_BASELINE,
        tile=registry_text(f"{side} px at {mpp} microns per pixel"),
        features=registry_text(config.settings_hash),
        aggregation=f"gated attention MIL: ensemble of {len(config.folds)} folds",
    )


def about_probabilities(config: MsiConfig) -> list[str]:
    """What must be known of the ensemble's probabilities before they are read as chances."""
    if config.calibration is None:
        return [
            "This model's probabilities are the mean of its folds', not recalibrated: they are nearer to the middle than they may be."
        ]
    if config.calibration.floored:
        return [
            "Out of fold, the training scores did not tell the classes apart: every probability lies near the training set's fraction of "
            "positives, and the operating points promise nothing worth having."
        ]
    return []


def _about_the_cohort(warnings: list[str], flow: CohortFlow) -> list[str]:
    """What Prepare warned of, and slides that were lost though they were meant to be used."""
    said = [f"Of the cohort: {warning}." for warning in warnings]
    if flow.unexpected:
        said.append(
            f"{flow.unexpected} slides were lost though they were meant to be used ({flow.unexpected_fraction:.1%}): the cohort flow "
            "below says which and why."
        )
    return said


def task_warnings(scores: Scores, lost: int) -> list[str]:
    """What a reader must know of this test before believing a number, most important first."""
    positives = int(scores.truth.sum())
    warnings = small(positives, len(scores.truth) - positives, "patients")
    if lost:
        warnings.append(f"{lost} test patients have no slide that could be evaluated; they are listed and in no number.")
    return warnings


if __name__ == "__main__":
    run(main)
