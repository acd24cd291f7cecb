"""PrepareMsi: slides and a label table → cohort.csv and cohort.json, before any GPU is rented."""

from __future__ import annotations

from pathology.contracts.settings_msi import PrepareMsi
from pathology.contracts.tables import CohortRow
from pathology.contracts.uris import Uri
from pathology.datasets.cohort import describe, make_cohort
from pathology.datasets.labels import read_labels
from pathology.datasets.slides import find_slides
from pathology.job import Job, run
from pathology.storage import open_store, write_whole


def main(job: Job) -> None:
    """Find slides, join labels, split by patient; every fault of the data is found here."""
    settings = job.hyperparameters(PrepareMsi)
    labels = read_labels(job.file("labels"), settings)
    slides = find_slides(open_store(), Uri.parse(settings.slides), Uri.parse(settings.manifest) if settings.manifest else None)
    cohort = make_cohort(slides, labels, settings)
    folder = job.output("cohort")
    write_whole(folder / "cohort.json", cohort.summary_json())
    write_whole(folder / "cohort.csv", CohortRow.table(cohort.rows))
    print(describe(cohort))


if __name__ == "__main__":
    run(main)
