"""PredictMsi: a registered model's own code on every patient of a batch → predictions.csv, results.json, report.html, attention."""

from __future__ import annotations

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from pathology.asked import Objects
from pathology.cohort.slide_ids import safe_id
from pathology.contracts.artefact import CONFIG
from pathology.contracts.cohort import SlideRow
from pathology.contracts.errors import DataError
from pathology.contracts.hashes import sha256_of
from pathology.contracts.media import JSON
from pathology.contracts.msi.batch import BATCH, CHOSEN, PATIENTS, Batch, Chosen, PatientSlide
from pathology.contracts.msi.predict import (
    ATTENTION,
    PAGE,
    PREDICTIONS,
    RESULTS,
    PatientResult,
    PatientRow,
    PredictMsi,
    PredictMsiJob,
    Results,
)
from pathology.contracts.storage import atomic_write
from pathology.job import Job, run
from pathology.learned_from import read_learned_from
from pathology.rerun.process import Answering
from pathology.rerun.version import StoredConfig
from pathology.storage import open_store
from pathology.tasks.msi.predicting import Asked, BatchPatient, ask, patients_of
from pathology.tasks.msi.predictions import render
from pathology.unpacking import unpack

LEARNT = "the model has learnt from this patient"
SHARE = 0.9
"""Of the job's time, for the model; what follows has to end before the service ends the job."""


def main(job: Job) -> None:
    """Ask the model about each patient, then write the table, the results and the page. A patient that fails is a row."""
    settings = job.hyperparameters(PredictMsiJob)
    limits = PredictMsi.model_validate(settings.model_dump(include=set(PredictMsi.model_fields)))
    chosen: Chosen = Chosen.from_json(job.file("batch", CHOSEN).read_bytes(), CHOSEN)
    batch: Batch = Batch.from_json(job.file("batch", BATCH).read_bytes(), BATCH)
    tables = {"patients": job.file("batch", PATIENTS), "slides": job.file("slides", ".csv")}
    states = SlideRow.read(tables["slides"])
    patients = patients_of(PatientSlide.read(tables["patients"]), states)
    archive = job.file("model", ".tar.gz")
    if sha256_of(archive) != chosen.archive_sha256:
        raise DataError(
            f"{chosen.archive_uri}: the artefact is another than PrepareSlides found (its sha256 differs): start again"
        )
    folder = job.output("predictions")
    results: list[PatientResult] = []
    with tempfile.TemporaryDirectory(dir=job.scratch) as scratch:
        model, uris = Path(scratch) / "model", Path(scratch) / "uris"
        unpack(archive, model)
        known = _learnt(model, patients)
        start = partial(_start, chosen.name, model, uris)
        with Asked(start, uris, Objects(open_store()), settings.max_minutes * 60 * SHARE) as asked:
            for number, patient in enumerate(patients, 1):
                result, attention = ask(asked, patient, limits, chosen.labels)
                if attention is not None:
                    file = f"{ATTENTION}/{safe_id(patient.patient_id)}.geojson"
                    atomic_write(folder / file, attention)
                    result = result.model_copy(update={"attention": file})
                if patient.patient_id in (known or ()):
                    result = result.model_copy(update={"remarks": [LEARNT, *result.remarks]})
                results.append(result)
                print(f"{number} of {len(patients)}: {result.status}{f' ({result.reason})' if result.reason else ''}")
    counts = Counter(result.status for result in results)
    written = Results(
        model=chosen,
        limits=limits,
        data={f"{name}_sha256": sha256_of(path) for name, path in tables.items()},
        batch=batch,
        counts={status: counts[status] for status in ("predicted", "cannot say", "failed")},
        slides_with_features=sum(row.status == "ok" for row in states),
        patients=results,
        warnings=_warnings(chosen, batch, known),
    )
    rows = [PatientRow.of(result, chosen.threshold) for result in results]
    atomic_write(folder / PREDICTIONS, PatientRow.table(rows))
    atomic_write(folder / RESULTS, written.to_json())
    atomic_write(folder / PAGE, render(written).encode())
    print(f"{len(results)} patients: {', '.join(f'{count} {status}' for status, count in written.counts.items())}")


def _start(name: str, model: Path, uris: Path, limit_seconds: float) -> Answering:
    return Answering(
        name, model, accept=JSON, together=False, uris=uris, encoder=None, limit_seconds=limit_seconds, section="predict"
    )


def _learnt(model: Path, patients: list[BatchPatient]) -> frozenset[str] | None:
    """Patients that the unpacked model has learnt from; None for one of before there were lists."""
    config = StoredConfig.model_validate_json((model / CONFIG).read_bytes())
    learned_from = read_learned_from(model, config)
    return None if learned_from is None else frozenset(learned_from.seen([patient.item for patient in patients]))


def _warnings(chosen: Chosen, batch: Batch, learnt: frozenset[str] | None) -> list[str]:
    """What must be known before a row is believed, most important first."""
    said = []
    if chosen.encoder_placeholder:
        said.append(
            f"The encoder {chosen.encoder} is a placeholder with seeded weights: nothing here says anything about patients."
        )
    if learnt:
        said.append(f"The model has learnt from {len(learnt)} of these patients: what it says of them shows nothing.")
    if learnt is None:
        said.append("The model's artefact does not say which patients it has learnt from: some of these may be among them.")
    said.append('The limits of "cannot say" are not calibrated: how many wrong answers they catch has not been measured.')
    said += [f"{warning[0].upper()}{warning[1:]}." for warning in batch.warnings]
    if batch.left_out:
        said.append(f"{len(batch.left_out)} files among the slides are not in the batch; they are listed below.")
    return said


if __name__ == "__main__":
    run(main)
