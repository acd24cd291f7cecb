"""PrepareMhist: annotations.csv and the patches → the checked patches, patches.csv and dataset.json, before any GPU is rented."""

from __future__ import annotations

from pathology.contracts.mhist.prepare import PrepareMhist
from pathology.job import Job, run
from pathology.patches.prepare import describe, write_prepared
from pathology.tasks.mhist.prepare import about_lines, prepare, summarise


def main(job: Job) -> None:
    """Check table and files, keep a validation split aside; every fault of the data is found here."""
    settings = job.hyperparameters(PrepareMhist)
    rows, about = prepare(job.file("annotations", ".csv"), job.input("images"), job.output("images"), settings)
    write_prepared(job.output("patches"), rows, summarise(rows, settings, about), job.output_uri("images"))
    print("\n".join([*about_lines(about), describe(rows, settings.labels)]))


if __name__ == "__main__":
    run(main)
