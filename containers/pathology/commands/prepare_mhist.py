"""PrepareMhist: annotations.csv and the patches → the checked patches, patches.csv and dataset.json, before any GPU is rented."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from pathology.contracts.data_check import DataCheck
from pathology.contracts.errors import DataError
from pathology.contracts.mhist.prepare import PrepareMhistJob
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.patches.prepare import LEFT_OUT, describe, hand_on_patches
from pathology.prepared import Inputs, hand_on, publish_encoder
from pathology.storage import open_store
from pathology.tasks.mhist.prepare import Prepared, about_lines, prepare, summarise


def _prepared(settings: PrepareMhistJob, scratch: Path) -> Prepared:
    inputs = Inputs(open_store(), scratch)
    annotations, images = inputs.file("annotations", settings.annotations, ".csv"), inputs.folder("images", settings.images)
    with inputs.named_by_uri():
        return prepare(annotations, images, scratch / "checked", settings)


def check(job: Job) -> bytes:
    """The sides of the split and the patches of each class, every patch's file read as for the run, and what forbids it."""
    settings = job.hyperparameters(PrepareMhistJob)
    printed = io.StringIO()
    try:
        with TemporaryDirectory(dir=job.scratch) as scratch, redirect_stdout(printed):
            rows, about = _prepared(settings, Path(scratch))
    except DataError as error:
        return DataCheck(problems=[str(error)]).to_json()
    left_out = [line for line in printed.getvalue().splitlines() if line.startswith(LEFT_OUT)]
    lines = [*left_out, *about_lines(about), describe(rows, settings.labels)]
    values = {name: sum(row.label == label for row in rows) for label, name in enumerate(settings.labels)}
    return DataCheck.of("\n".join(lines), values, about.get("columns")).to_json()


def main(job: Job) -> None:
    """Check table and files, keep a validation split aside, hand both on; every fault of the data is found here."""
    settings, store = job.hyperparameters(PrepareMhistJob), open_store()
    root = Uri.parse(settings.prepared)
    encoder = publish_encoder(store, root, settings.encoder)
    with TemporaryDirectory(dir=job.scratch) as scratch:
        rows, about = _prepared(settings, Path(scratch))
        patches = hand_on_patches(store, root, Path(scratch) / "checked", rows, summarise(rows, settings, about))
    print("\n".join([*about_lines(about), describe(rows, settings.labels)]))
    hand_on(job, {**encoder, **patches})


if __name__ == "__main__":
    run(main, check=check)
