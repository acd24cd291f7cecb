"""PrepareLizard: CoNIC's four files, checked patch by patch → patches.csv and dataset.json, before any GPU is rented."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pathology.contracts.data_check import DataCheck
from pathology.contracts.errors import DataError
from pathology.contracts.lizard.patches import DATASET, TABLE, NucleiDataset, NucleiPatchRow
from pathology.contracts.lizard.prepare import PrepareLizardJob
from pathology.contracts.prepared import Handed
from pathology.contracts.staging import TABLE as STAGING
from pathology.contracts.staging import StagingRow
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.prepared import Inputs, hand_on, publish, publish_encoder
from pathology.storage import open_store
from pathology.tasks.lizard.prepare import describe, prepare, staging


def _prepared(job: Job, settings: PrepareLizardJob) -> tuple[list[NucleiPatchRow], NucleiDataset]:
    with TemporaryDirectory(dir=job.scratch) as scratch:
        inputs = Inputs(open_store(), Path(scratch))
        folder = inputs.folder("dataset", settings.dataset)
        with inputs.named_by_uri():
            return prepare(folder, settings)


def check(job: Job) -> bytes:
    """The sides of the split, the nuclei of each class, and what forbids the run."""
    try:
        rows, dataset = _prepared(job, job.hyperparameters(PrepareLizardJob))
    except DataError as error:
        return DataCheck(problems=[str(error)]).to_json()
    nuclei = {word: sum(side.classes[word] for side in dataset.splits.values()) for word in dataset.classes}
    return DataCheck.of(describe(rows, dataset), nuclei).to_json()


def main(job: Job) -> None:
    """Check the data set and split it. The arrays stay where they are: whoever reads them proves them by dataset.json's hashes."""
    settings, store = job.hyperparameters(PrepareLizardJob), open_store()
    root, source = Uri.parse(settings.prepared), Uri.parse(settings.dataset)
    encoder = publish_encoder(store, root, settings.encoder)
    rows, dataset = _prepared(job, settings)
    print(describe(rows, dataset))
    hand_on(
        job,
        {
            **encoder,
            "dataset": Handed(uri=f"{source}/", sha256=dataset.images_sha256),
            "patches": publish(store, root, {DATASET: dataset.to_json(), TABLE: NucleiPatchRow.table(rows)}),
            "staging": publish(store, root, {STAGING: StagingRow.table(staging(dataset, source))}),
        },
    )


if __name__ == "__main__":
    run(main, check=check)
