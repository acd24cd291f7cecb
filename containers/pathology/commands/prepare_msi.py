"""PrepareMsi: slides and a label table → cohort.csv and cohort.json, before any GPU is rented."""

from __future__ import annotations

from pathology.cohort.cohort import Cohort, describe, make_cohort
from pathology.cohort.earlier import read_places
from pathology.cohort.label_table import read_labels
from pathology.cohort.masks import mask_uris, place_masks
from pathology.cohort.slides import find_slides
from pathology.contracts.cohort import CohortRow
from pathology.contracts.data_check import DataCheck
from pathology.contracts.errors import DataError
from pathology.contracts.msi.prepare import PrepareMsiJob
from pathology.contracts.storage import atomic_write
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.storage import open_store


def find_cohort(job: Job) -> Cohort:
    """Find slides, join labels, split by patient; what is wrong with the data is in the cohort's ``problems``."""
    settings = job.hyperparameters(PrepareMsiJob)
    store = open_store()
    labels = read_labels(job.file("labels"), settings)
    root, manifest = Uri.parse(settings.slides), Uri.parse(settings.manifest) if settings.manifest else None
    slides = find_slides(store, root, manifest, mask_uris(labels, root))
    earlier = read_places(store, Uri.parse(settings.earlier_cohort)) if settings.earlier_cohort else None
    cohort = make_cohort(slides, labels, settings, earlier)
    place_masks(cohort, store, root)
    return cohort


def check(job: Job) -> bytes:
    """The cohort as far as it can be made, and everything that forbids it."""
    try:
        cohort = find_cohort(job)
    except DataError as error:
        return DataCheck(problems=[str(error)]).to_json()
    return DataCheck(
        problems=cohort.problems,
        warnings=cohort.warnings,
        notes=cohort.notes,
        values=cohort.values,
        columns=cohort.columns,
        parts={name: f"{side.patients} patients, {side.positives} positive" for name, side in cohort.flow.sides.items()},
        flow=cohort.flow.model_dump(mode="json"),
    ).to_json()


def main(job: Job) -> None:
    """Make the cohort, or end with every problem of the data in one line."""
    cohort = find_cohort(job)
    print(describe(cohort))
    cohort.check()
    folder = job.output("cohort")
    atomic_write(folder / "cohort.json", cohort.summary_json())
    atomic_write(folder / "cohort.csv", CohortRow.table(cohort.rows))


if __name__ == "__main__":
    run(main, check=check)
