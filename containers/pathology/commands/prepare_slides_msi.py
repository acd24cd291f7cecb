"""PrepareSlides: slides without labels, and a version of the registry → whose slides they are, what extraction has to know, and how
the version's own features were made; before any GPU is rented."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pathology.cohort.unlabelled import to_extract
from pathology.contracts.data_check import DataCheck
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.slides import TABLE, SlideToExtract
from pathology.contracts.extraction.tiling import Tiling
from pathology.contracts.msi.batch import BATCH, CHOSEN, PATIENTS, PatientSlide
from pathology.contracts.msi.prepare_slides import PrepareSlidesMsiJob
from pathology.contracts.prepared import Handed
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.prepared import hand_on, publish, publish_encoder
from pathology.registry import open_registry
from pathology.storage import open_store
from pathology.tasks.msi.batch import FoundBatch, find_batch, rows
from pathology.tasks.msi.chosen import choose
from pathology.wsi.layout import FeatureLayout


def _found(job: Job, store: Store) -> FoundBatch:
    with TemporaryDirectory(dir=job.scratch) as scratch:
        return find_batch(store, job.hyperparameters(PrepareSlidesMsiJob), Path(scratch))


def check(job: Job) -> bytes:
    """The batch as a run would find it. The model is not asked for: only a run has a registry."""
    try:
        found = _found(job, open_store())
    except DataError as error:
        return DataCheck(problems=[str(error)]).to_json()
    return DataCheck.of("\n".join(found.lines()), {}).to_json()


def main(job: Job) -> None:
    """Find the version and the slides, and hand on what later steps read; a slide that is not whole is named and not extracted."""
    settings, store = job.hyperparameters(PrepareSlidesMsiJob), open_store()
    chosen, warnings = choose(open_registry(), store, settings)
    print(f"model: {chosen.name} of {chosen.group} ({chosen.arn}), {chosen.status}, artefact {chosen.archive_uri}")
    print(f"features: settings {chosen.settings_hash}, by encoder {chosen.encoder}")
    found = _found(job, store)
    found.batch.warnings[:0] = warnings
    print("\n".join(found.lines()))
    layout, root = FeatureLayout.of(settings.features, chosen.settings_hash), Uri.parse(settings.prepared)
    known = to_extract(found.slides, found.scales, layout, store)
    patients = rows(found, [row.slide_id for row in known])
    whole = [row for row, patient in zip(known, patients, strict=True) if not patient.fault]
    if not whole:
        raise DataError(f"none of {len(patients)} slides is whole: {patients[0].fault}")
    files = {PATIENTS: PatientSlide.table(patients), BATCH: found.batch.to_json(), CHOSEN: chosen.to_json()}
    tiling = {name: chosen.settings[str(field.alias)] for name, field in Tiling.model_fields.items()}
    hand_on(
        job,
        {
            **publish_encoder(store, root, chosen.encoder_uri),
            "batch": publish(store, root, files),
            "slides_to_extract": publish(store, root, {TABLE: SlideToExtract.table(whole)}),
            "model": Handed(uri=chosen.archive_uri, sha256=chosen.archive_sha256),
        },
        tiling=tiling,
    )


if __name__ == "__main__":
    run(main, check=check)
