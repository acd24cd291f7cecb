"""StageLizard: the arrays that dataset.json names by hash, and the encoder, from S3 to EFS; only what changed moves."""

from __future__ import annotations

from pathlib import Path

from pathology.contracts.settings_lizard import StageLizard
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri
from pathology.datasets.conic import IMAGES, LABELS, NucleiDataset, read_prepared, staged_path
from pathology.datasets.staging import Staged, stage_each, stage_encoder_if_in_s3, stage_file
from pathology.job import Job, run
from pathology.storage import open_store


def stage_arrays(store: Store, source: Uri, dataset: NucleiDataset, root: Path) -> Staged:
    """Copy images.npy and labels.npy to ``<root>/<sha256>.npy``.

    Raises:
        DataError: naming the array that is gone or is another than was prepared.
    """

    def stage(array: tuple[str, str]) -> Staged:
        name, sha256 = array
        return stage_file(store, source / name, staged_path(root, sha256), sha256, name)

    return stage_each(stage, [(IMAGES, dataset.images_sha256), (LABELS, dataset.labels_sha256)])


def main(job: Job) -> None:
    """Copy the arrays, then the encoder; prove each copy by its hash."""
    settings = job.hyperparameters(StageLizard)
    if job.rank > 0:
        print(f"{job.host}: staging is the first host's work")
        return
    store = open_store()
    _, dataset = read_prepared(job.input("patches"))
    print(f"arrays: {stage_arrays(store, Uri.parse(settings.dataset), dataset, job.input('datasets_destination'))}")
    print(f"encoder: {stage_encoder_if_in_s3(store, Uri.parse(settings.encoder), job.input('models_destination'))}")


if __name__ == "__main__":
    run(main)
