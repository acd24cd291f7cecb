"""PrepareTumour: a table of patches and their files → the checked patches, patches.csv and dataset.json."""

from __future__ import annotations

from pathology.contracts.tumour.patches import LABELS
from pathology.contracts.tumour.prepare import PrepareTumour
from pathology.job import Job, run
from pathology.patches.prepare import describe, summary, write_prepared
from pathology.tasks.tumour.prepare import prepare


def main(job: Job) -> None:
    """Check table and files, keep a validation split aside; every fault of the data is found here."""
    settings = job.hyperparameters(PrepareTumour)
    rows = prepare(job.file("table", ".csv"), job.input("images"), job.output("images"), settings)
    dataset = summary("tumour", rows, LABELS, settings.model_dump(mode="json"))
    write_prepared(job.output("patches"), rows, dataset, job.output_uri("images"))
    print(describe(rows, LABELS))


if __name__ == "__main__":
    run(main)
