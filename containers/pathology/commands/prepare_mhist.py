"""PrepareMhist: annotations.csv and the patches → the checked patches, patches.csv and dataset.json, before any GPU is rented."""

from __future__ import annotations

import json

from pathology.contracts.settings_mhist import PrepareMhist
from pathology.contracts.tables import PatchRow
from pathology.datasets.mhist import describe, prepare, summary
from pathology.job import Job, run
from pathology.storage import write_whole


def main(job: Job) -> None:
    """Check table and files, keep a validation split aside; every fault of the data is found here."""
    settings = job.hyperparameters(PrepareMhist)
    rows = prepare(job.file("annotations", ".csv"), job.input("images"), job.output("images"), settings)
    folder = job.output("patches")
    write_whole(folder / "dataset.json", (json.dumps(summary(rows, settings), indent=2, allow_nan=False) + "\n").encode())
    write_whole(folder / "patches.csv", PatchRow.table(rows))
    print(describe(rows))


if __name__ == "__main__":
    run(main)
