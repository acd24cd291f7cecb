"""PrepareLizard: CoNIC's four files, checked patch by patch → patches.csv and dataset.json, before any GPU is rented."""

from __future__ import annotations

from pathology.contracts.settings_lizard import PrepareLizard
from pathology.contracts.tables_lizard import NucleiPatchRow
from pathology.datasets.conic import DATASET, TABLE, describe, prepare
from pathology.job import Job, run
from pathology.storage import write_whole


def main(job: Job) -> None:
    """Check the data set and split it. The arrays stay where they are: whoever reads them proves them by dataset.json's hashes."""
    rows, dataset = prepare(job.input("dataset"), job.hyperparameters(PrepareLizard))
    folder = job.output("patches")
    write_whole(folder / DATASET, dataset.to_json())
    write_whole(folder / TABLE, NucleiPatchRow.table(rows))
    print(describe(dataset))


if __name__ == "__main__":
    run(main)
