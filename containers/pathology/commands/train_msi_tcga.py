"""TrainMsi: staged features and the cohort's folds → an ensemble of attention MIL models."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pathology.artefact import EncoderIdentity, library_versions, save_artefact
from pathology.contracts.artefact import DRIFT_BASELINE, LEARNED_FROM
from pathology.contracts.code import closure, command_code
from pathology.contracts.cohort import SlideRow, read_classes, read_cohort
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.intervals import Interval, area_under_roc
from pathology.contracts.learned_from import LearnedFrom
from pathology.contracts.log_lines import VALIDATION_ACCURACY, VALIDATION_AUROC, VALIDATION_LOSS, metric_line
from pathology.contracts.msi.train import TrainMsi
from pathology.contracts.operating_points import OperatingPoint
from pathology.encoders.job_encoder import find_encoder
from pathology.job import Job, run
from pathology.metrics.operating_points import choose, deciding
from pathology.serving.code import endpoint_code
from pathology.tasks.msi import baseline, serving
from pathology.tasks.msi.artefact import MsiConfig, OutOfFold, fold_file, tiling_attributes
from pathology.tasks.msi.calibration import calibrate
from pathology.tasks.msi.dataset import Bags, Patient, feature_path, patients_of, permuted
from pathology.tasks.msi.drift import drift_baseline
from pathology.tasks.msi.learned_from import items
from pathology.tasks.msi.training import CrossValidated, cross_validate
from pathology.training.checkpoints import checkpoint_key
from pathology.training.drift import pack
from pathology.wsi.features import Features, read_features

COMMAND = "train_msi_tcga"
LIBRARIES = ("lightning", "numpy", "safetensors", "scikit-learn", "torch")


def main(job: Job) -> None:
    """Read the patients, cross-validate, calibrate and choose the threshold out of fold, pack the artefact."""
    if job.rank > 0 or int(os.environ.get("RANK", "0")) > 0:
        print(f"{job.host}: attention pooling trains on one device; the first process does it")
        return
    settings = job.hyperparameters(TrainMsi)
    tables = {"slides": job.file("slides", ".csv"), "cohort": job.file("splits", ".csv")}
    rows = [row for row in read_cohort(tables["cohort"]) if row.split == "train"]
    patients, unusable = patients_of(rows, SlideRow.read(tables["slides"]))
    for patient in unusable:
        print(f"left out: patient {patient.patient_id} has no slide with features")
    if not patients:
        raise DataError("no train patient has a slide with features: look at slides.csv for the reasons")
    root = job.input("training")
    first = _first(root, patients)
    manifest = find_encoder(job)[1]
    check_encoder(manifest, first)
    _one_settings_hash(patients)
    if settings.shuffle_labels:
        patients = permuted(patients, settings.seed)

    bags = Bags(root, patients, manifest)
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in tables.items()}
    checkpoints = job.checkpoints / checkpoint_key(COMMAND, settings, hashes, manifest.sha256)
    validated = cross_validate(bags, settings, checkpoints, job.scratch)
    calibration, probabilities = calibrate(bags.labels, validated.out_of_fold, validated.folds, validated.learnt)
    points = choose(bags.labels, probabilities, settings)
    threshold = deciding(points, settings)
    interval = report_out_of_fold(bags.labels, validated, probabilities, points, threshold)

    simple, simple_weights = baseline.fit(bags).pack()
    folds = [fold_file(model.fold, model.epoch, model.validation_loss, model.weights) for model in validated.models]
    learned_from, learned_from_content = LearnedFrom.of(items(patients), hashes).pack()
    drift, drift_content = pack(drift_baseline(bags, patients[0].slides[0].settings_hash))
    config = MsiConfig(
        labels=read_classes(tables["cohort"]),
        threshold=threshold,
        operating_points=points,
        calibration=calibration,
        encoder=EncoderIdentity.of(manifest),
        settings_hash=patients[0].slides[0].settings_hash,
        tiling=tiling_attributes(first.attributes, first.grid),
        hidden_size=settings.hidden_size,
        folds=tuple(entry for entry, _ in folds),
        out_of_fold=OutOfFold(
            patients=len(bags), positives=int(bags.labels.sum()), auroc=interval.value, low=interval.low, high=interval.high
        ),
        training=settings.as_strings(),
        inputs=hashes,
        learned_from=learned_from,
        drift_baseline=drift,
        serving_code=closure(serving.__name__).hash,
        versions=library_versions(*LIBRARIES),
        training_code=command_code(COMMAND).hash,
        curves=tuple(model.curve for model in validated.models),
        baseline=simple,
    )
    files = {entry.file: content for entry, content in folds} | {simple.file: simple_weights}
    files |= {LEARNED_FROM: learned_from_content, DRIFT_BASELINE: drift_content}
    save_artefact(job.output("model"), config, files, endpoint_code(serving.__name__), serving.__name__)


def _first(root: Path, patients: Sequence[Patient]) -> Features:
    slide = patients[0].slides[0]
    return read_features(feature_path(root, slide), slide.slide_id, slide.sha256)


def _one_settings_hash(patients: Sequence[Patient]) -> None:
    hashes = sorted({slide.settings_hash for patient in patients for slide in patient.slides})
    if len(hashes) > 1:
        raise DataError(f"slides.csv mixes features of several settings ({', '.join(hashes)}): collect those of one extraction")


def check_encoder(manifest: EncoderManifest, features: Features) -> None:
    """Refuse features of another encoder.

    Raises:
        DataError: naming both.
    """
    name, sha256 = features.attributes.get("encoder", "unknown"), str(features.attributes.get("checkpoint_sha256", "unknown"))
    if sha256 != manifest.sha256:
        raise DataError(
            f"the features were made by encoder {name} (sha256 {sha256[:12]}…), and the cohort was prepared with {manifest.name} "
            f"({manifest.sha256[:12]}…): start again"
        )


def report_out_of_fold(
    truth: np.ndarray,
    validated: CrossValidated,
    scores: np.ndarray,
    points: Sequence[OperatingPoint],
    threshold: float,
) -> Interval:
    """Print the metrics of the whole cross-validation, which SageMaker keeps as final, the AUROC's interval and the operating points."""
    interval = area_under_roc(truth, scores)
    print(metric_line(VALIDATION_LOSS, float(np.mean([model.validation_loss for model in validated.models]))))
    print(metric_line(VALIDATION_ACCURACY, float(np.mean((scores >= threshold) == (truth == 1)))))
    print(metric_line(VALIDATION_AUROC, interval.value))
    print(f"out of fold: AUROC {interval}, {len(truth)} patients, {int(truth.sum())} positive, threshold {threshold:.4f}")
    for point in points:
        promised = "; ".join(
            f"sensitivity {each.sensitivity:.3f} with confidence {each.confidence:.2f}" for each in point.promises
        )
        print(f"operating point {point.name}: threshold {point.threshold:.4f}{', ' if promised else ''}{promised}")
    return interval


if __name__ == "__main__":
    run(main)
