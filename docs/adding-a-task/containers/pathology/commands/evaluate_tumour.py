"""EvaluateTumour: the packaged model on the test patches, through the functions that serve it → scores, predictions, report."""

from __future__ import annotations

from pathology.contracts.drift import NO_BASELINE
from pathology.contracts.evaluation import EncoderReport, RegistryFacts
from pathology.contracts.hashes import sha256_of
from pathology.contracts.patches import TABLE, PatchPredictionRow, PatchRow
from pathology.contracts.tumour.evaluate import EvaluateTumour, TumourBlock, TumourEvaluation, TumourModelIdentity
from pathology.contracts.tumour.patches import LABELS
from pathology.encoders.job_encoder import find_encoder
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
from pathology.metrics.binary import Scores
from pathology.patches.artefact import PatchModel
from pathology.patches.dataset import read_patches
from pathology.patches.evaluation import predict
from pathology.patches.learned_from import items
from pathology.report.warnings import small
from pathology.tasks.tumour import serving
from pathology.tasks.tumour.artefact import TumourConfig
from pathology.tasks.tumour.report import render


def main(job: Job) -> None:
    """Predict every test patch, score them, write evaluation.json, predictions.csv and report.html."""
    settings, table = job.hyperparameters(EvaluateTumour), job.file("patches", TABLE)
    model: PatchModel[TumourConfig]
    model, learned_from, _ = load_packaged(job, serving, find_encoder(job)[0])
    test = sorted((row for row in read_patches(table, PatchRow, LABELS) if row.split == "test"), key=lambda row: row.image)
    seen = check_seen(learned_from, items(test), "patches", settings)
    predictions = [PatchPredictionRow(**prediction) for prediction in predict(test, job.input("images"), model, serving)]
    scores = Scores.of(predictions, model.config, settings)
    intervals, config, table_sha256 = scores.intervals(), model.config, sha256_of(table)
    positives, trained_here = int(scores.truth.sum()), table_sha256 == config.inputs.get("patches")
    warnings = small(positives, len(predictions) - positives, "patches")
    evaluation = TumourEvaluation(
        binary_classification_metrics=scores.metrics(intervals),
        pathology=TumourBlock(
            **scores.block(intervals),
            **origin(job, patches=("patches", table)),
            task="tumour",
            seen=seen,
            model=TumourModelIdentity(
                **identity(job, model, serving), labels=config.labels, trained_on_these_patches=trained_here
            ),
            encoder=EncoderReport.of(config.encoder),
            data={"patches_sha256": table_sha256},
            warnings=all_warnings(model, serving, seen, warnings, "pathology"),
            registry=RegistryFacts(
                labels=binary_labels(config.labels), drift_baseline_sha256=config.drift_baseline or NO_BASELINE
            ),
        ),
    )
    write_evaluation(job, evaluation, PatchPredictionRow.table(predictions), render(evaluation, predictions))
    print(f"AUROC {intervals['auroc']}, {len(predictions)} patches, {positives} positive")


if __name__ == "__main__":
    run(main)
