"""EvaluateMhist: the packaged model on the test patches, through the functions that serve it → scores, predictions, report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pathology.contracts.drift import NO_BASELINE
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import Baseline, EncoderReport, RegistryFacts, Seen, compare
from pathology.contracts.hashes import sha256_of
from pathology.contracts.intervals import Interval
from pathology.contracts.mhist.evaluate import (
    PATCH_NAME,
    PUBLISHED_RESULTS,
    PUBLISHED_TEST,
    UNIT,
    EvaluateMhist,
    MhistBlock,
    MhistEvaluation,
    MhistModelIdentity,
    MhistPredictionRow,
    ValidationReport,
    by_protocol,
)
from pathology.contracts.mhist.patches import ANNOTATORS, LABELS, MHIST
from pathology.contracts.patches import DATASET, TABLE
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
from pathology.metrics.baseline import baseline_line, score_baseline
from pathology.metrics.binary import Scores
from pathology.patches.artefact import PatchModel
from pathology.patches.dataset import PatchDataset, Patches, read_patch
from pathology.patches.evaluation import predict
from pathology.patches.learned_from import items
from pathology.report.warnings import small
from pathology.tasks.mhist import baseline, serving
from pathology.tasks.mhist.agreement import by_agreement
from pathology.tasks.mhist.artefact import MhistConfig
from pathology.tasks.mhist.dataset import read_patches
from pathology.tasks.mhist.protocol import WARNING, eva_report
from pathology.tasks.mhist.report import render


def main(job: Job) -> None:
    """Predict every test patch, score them, write evaluation.json, predictions.csv and report.html."""
    settings = job.hyperparameters(EvaluateMhist)
    table, images = job.file("patches", TABLE), job.input("images")
    model: PatchModel[MhistConfig]
    model, learned_from, fitted = load_packaged(job, serving, find_encoder(job)[0])
    dataset = PatchDataset.read(job.file("patches", DATASET))
    if dataset.labels != model.config.labels:
        theirs, ours = (" and ".join(labels) for labels in (model.config.labels, dataset.labels))
        raise DataError(f"the model tells {theirs} apart and the patches are {ours}: evaluate it on patches of its own classes")
    test = sorted((row for row in read_patches(table, dataset.labels) if row.split == "test"), key=lambda row: row.image)
    seen = check_seen(learned_from, items(test), "patches", settings)
    predictions = [
        MhistPredictionRow(**prediction, votes=row.votes, group=row.group)
        for row, prediction in zip(test, predict(test, images, model, serving), strict=True)
    ]
    scores = Scores.of(predictions, model.config, settings)
    intervals = scores.intervals()
    simple = score_baseline(
        fitted,
        baseline.KIND,
        lambda: baseline.histograms(Patches(images, test, model.config.pixels)),
        scores.truth,
        intervals,
        settings.confidence,
    )
    evaluation = MhistEvaluation(
        binary_classification_metrics=scores.metrics(intervals),
        pathology=_block(job, scores, intervals, predictions, seen, model, table, dataset, simple),
    )
    rows = {row.image: row for row in test}
    page = render(evaluation, predictions, lambda image: read_patch(images, rows[image], model.config.pixels))
    write_evaluation(job, evaluation, MhistPredictionRow.table(predictions), page)
    print(f"AUROC {intervals['auroc']}, {len(predictions)} patches, {int(scores.truth.sum())} positive")
    print(f"balanced accuracy {intervals['balanced_accuracy']}")
    print(baseline_line(simple))


def _block(
    job: Job,
    scores: Scores,
    intervals: dict[str, Interval],
    predictions: Sequence[MhistPredictionRow],
    seen: Seen,
    model: PatchModel[MhistConfig],
    table: Path,
    dataset: PatchDataset,
    simple: Baseline | None,
) -> MhistBlock:
    of_mhist, votes = dataset.dataset == MHIST, [row.votes for row in predictions]
    config, table_sha256 = model.config, sha256_of(table)
    published = of_mhist and is_published(predictions)
    eva = eva_report(config, published)
    return MhistBlock(
        **scores.block(intervals),
        **origin(job, patches=("patches", table), images=("images", job.input("images"))),
        task="mhist",
        seen=seen,
        annotators=ANNOTATORS,
        agreement=[] if None in votes else by_agreement(scores.truth, np.array(votes), scores.predicted, scores.confidence),
        published=by_protocol(compare(PUBLISHED_RESULTS, intervals, UNIT, published), eva) if of_mhist else [],
        published_partition=published,
        eva=eva,
        model=MhistModelIdentity(
            **identity(job, model, serving),
            labels=config.labels,
            fine_tuning=config.fine_tuning,
            trained_on_these_patches=table_sha256 == config.inputs.get("patches"),
            validation=ValidationReport(**config.validation.model_dump(include=set(ValidationReport.model_fields))),
        ),
        encoder=EncoderReport.of(config.encoder),
        data={"patches_sha256": table_sha256},
        warnings=all_warnings(
            model, serving, seen, [*([WARNING] if eva else []), *task_warnings(scores, dataset, published)], "pathology"
        ),
        registry=RegistryFacts(labels=binary_labels(config.labels), drift_baseline_sha256=config.drift_baseline or NO_BASELINE),
        baseline=simple,
    )


def is_published(predictions: Sequence[MhistPredictionRow]) -> bool:
    """Whether the test patches are those of the published numbers, by how many there are of each class and how they are called."""
    counts = tuple(sum(row.label == label for row in predictions) for label in range(len(LABELS)))
    return counts == PUBLISHED_TEST and all(re.fullmatch(PATCH_NAME, row.image) for row in predictions)


def task_warnings(scores: Scores, dataset: PatchDataset, published: bool) -> list[str]:
    """What a reader must know of this test before believing a number, most important first."""
    positives, n = int(scores.truth.sum()), len(scores.truth)
    warnings = [*dataset.warnings, *small(positives, n - positives, "patches")]
    if dataset.dataset == MHIST and not published:
        warnings.append(
            f"The test set holds {n:,} patches, {positives:,} of them SSA, where MHIST's own {sum(PUBLISHED_TEST):,} hold "
            f"{PUBLISHED_TEST[1]:,} and are named like MHIST_aaa.png: the published numbers are of another test and stand here for "
            "orientation only."
        )
    return warnings


if __name__ == "__main__":
    run(main)
