"""StageMhist: the patches that patches.csv names, and the encoder, from S3 to EFS; only what changed moves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pathology.contracts.settings_mhist import StageMhist
from pathology.contracts.storage import Store
from pathology.contracts.tables import PatchRow
from pathology.contracts.uris import Uri
from pathology.datasets.mhist import read_patches, staged_path
from pathology.datasets.staging import Staged, stage_each, stage_encoder_if_in_s3, stage_file
from pathology.job import Job, run
from pathology.storage import open_store


def stage_patches(store: Store, images: Uri, rows: Iterable[PatchRow], root: Path) -> Staged:
    """Copy patches below ``root`` by their content; patches with the same bytes are one file.

    Raises:
        DataError: naming the patch that is gone or is another than patches.csv says.
    """
    by_content = {row.sha256: row for row in rows}

    def stage(row: PatchRow) -> Staged:
        return stage_file(store, images / row.image, staged_path(root, row), row.sha256, f"patch {row.image}")

    return stage_each(stage, by_content.values())


def main(job: Job) -> None:
    """Copy patches, then the encoder; prove each copy by its hash."""
    settings = job.hyperparameters(StageMhist)
    if job.rank > 0:
        print(f"{job.host}: staging is the first host's work")
        return
    store = open_store()
    rows = read_patches(job.file("patches", ".csv"))
    print(f"patches: {stage_patches(store, Uri.parse(settings.images), rows, job.input('datasets_destination'))}")
    print(f"encoder: {stage_encoder_if_in_s3(store, Uri.parse(settings.encoder), job.input('models_destination'))}")


if __name__ == "__main__":
    run(main)
