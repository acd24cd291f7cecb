"""PrepareMhist: annotations.csv and the patches → the checked patches, patches.csv and dataset.json, before any GPU is rented."""

from __future__ import annotations

import io
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from pathology.contracts.data_check import DataCheck
from pathology.contracts.errors import DataError
from pathology.contracts.mhist.prepare import PrepareMhist
from pathology.job import Job, run
from pathology.patches.prepare import LEFT_OUT, describe, write_prepared
from pathology.tasks.mhist.prepare import about_lines, prepare, summarise


def check(job: Job) -> bytes:
    """The sides of the split and the patches of each class, every patch's file read as for the run, and what forbids it."""
    settings = job.hyperparameters(PrepareMhist)
    printed = io.StringIO()
    try:
        with tempfile.TemporaryDirectory(dir=job.scratch) as copies, redirect_stdout(printed):
            rows, about = prepare(job.file("annotations", ".csv"), job.input("images"), Path(copies), settings)
    except DataError as error:
        return DataCheck(problems=[str(error)]).to_json()
    left_out = [line for line in printed.getvalue().splitlines() if line.startswith(LEFT_OUT)]
    lines = [*left_out, *about_lines(about), describe(rows, settings.labels)]
    values = {name: sum(row.label == label for row in rows) for label, name in enumerate(settings.labels)}
    return DataCheck.of("\n".join(lines), values, about.get("columns")).to_json()


def main(job: Job) -> None:
    """Check table and files, keep a validation split aside; every fault of the data is found here."""
    settings = job.hyperparameters(PrepareMhist)
    rows, about = prepare(job.file("annotations", ".csv"), job.input("images"), job.output("images"), settings)
    write_prepared(job.output("patches"), rows, summarise(rows, settings, about), job.output_uri("images"))
    print("\n".join([*about_lines(about), describe(rows, settings.labels)]))


if __name__ == "__main__":
    run(main, check=check)
