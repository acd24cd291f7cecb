"""PrepareTumour: a table of patches and their files → the checked patches, patches.csv and dataset.json."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pathology.contracts.tumour.patches import LABELS
from pathology.contracts.tumour.prepare import PrepareTumour, PrepareTumourJob
from pathology.contracts.uris import Uri
from pathology.job import Job, run
from pathology.patches.prepare import describe, hand_on_patches, summary
from pathology.prepared import Inputs, hand_on, publish_encoder
from pathology.storage import open_store
from pathology.tasks.tumour.prepare import prepare


def main(job: Job) -> None:
    """Check table and files, keep a validation split aside, hand both on; every fault of the data is found here."""
    settings, store = job.hyperparameters(PrepareTumourJob), open_store()
    root = Uri.parse(settings.prepared)
    encoder = publish_encoder(store, root, settings.encoder)
    with TemporaryDirectory(dir=job.scratch) as folder:
        scratch = Path(folder)
        inputs = Inputs(store, scratch)
        table, images = inputs.file("table", settings.table, ".csv"), inputs.folder("images", settings.images)
        with inputs.named_by_uri():
            rows = prepare(table, images, scratch / "checked", settings)
        chosen = settings.model_dump(mode="json", include=set(PrepareTumour.model_fields))
        patches = hand_on_patches(store, root, scratch / "checked", rows, summary("tumour", rows, LABELS, chosen))
    print(describe(rows, LABELS))
    hand_on(job, {**encoder, **patches})


if __name__ == "__main__":
    run(main)
