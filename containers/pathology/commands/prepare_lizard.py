"""PrepareLizard: CoNIC's four files, checked patch by patch → patches.csv and dataset.json, before any GPU is rented."""

from __future__ import annotations

from pathology.contracts.lizard.patches import DATASET, TABLE, NucleiPatchRow
from pathology.contracts.lizard.prepare import PrepareLizard
from pathology.contracts.staging import TABLE as STAGING
from pathology.contracts.staging import StagingRow
from pathology.contracts.storage import atomic_write
from pathology.job import Job, run
from pathology.tasks.lizard.prepare import describe, prepare, staging


def main(job: Job) -> None:
    """Check the data set and split it. The arrays stay where they are: whoever reads them proves them by dataset.json's hashes."""
    rows, dataset = prepare(job.input("dataset"), job.hyperparameters(PrepareLizard))
    folder = job.output("patches")
    atomic_write(folder / DATASET, dataset.to_json())
    atomic_write(folder / STAGING, StagingRow.table(staging(dataset, job.input_uri("dataset"))))
    atomic_write(folder / TABLE, NucleiPatchRow.table(rows))
    print(describe(rows, dataset))


if __name__ == "__main__":
    run(main)
