"""PrepareMsi: slides and a label table → cohort.csv and cohort.json, before any GPU is rented."""

from __future__ import annotations

from pathology.cohort.cohort import describe, make_cohort
from pathology.cohort.labels import read_labels
from pathology.cohort.slides import find_slides
from pathology.contracts.cohort import CohortRow
from pathology.contracts.msi.prepare import PrepareMsiJob
from pathology.contracts.storage import atomic_write
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.storage import open_store


def main(job: Job) -> None:
    """Find slides, join labels, split by patient; every fault of the data is found here."""
    settings = job.hyperparameters(PrepareMsiJob)
    labels = read_labels(job.file("labels"), settings)
    slides = find_slides(open_store(), Uri.parse(settings.slides), Uri.parse(settings.manifest) if settings.manifest else None)
    cohort = make_cohort(slides, labels, settings)
    folder = job.output("cohort")
    atomic_write(folder / "cohort.json", cohort.summary_json())
    atomic_write(folder / "cohort.csv", CohortRow.table(cohort.rows))
    print(describe(cohort))


if __name__ == "__main__":
    run(main)
