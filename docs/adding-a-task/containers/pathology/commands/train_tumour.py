"""TrainTumour: patches and an encoder → a patch classifier, as a model artefact."""

from __future__ import annotations

import numpy as np

from pathology.artefact import save_artefact
from pathology.contracts.code import closure
from pathology.contracts.hashes import sha256_of
from pathology.contracts.patches import TABLE, PatchRow
from pathology.contracts.tumour.patches import LABELS
from pathology.contracts.tumour.train import TrainTumour
from pathology.encoders.job_encoder import find_encoder
from pathology.job import Job, run
from pathology.patches.dataset import Patches, read_patches
from pathology.patches.learning import Side, describe_model, learn, left_to_the_first
from pathology.serving.code import endpoint_code
from pathology.tasks.tumour import serving
from pathology.tasks.tumour.artefact import TumourConfig
from pathology.training.epochs import World


def main(job: Job) -> None:
    """Train in the way that ``fine_tuning`` says, choose the threshold on validation, pack the artefact."""
    settings = job.hyperparameters(TrainTumour)
    if left_to_the_first(job, settings):
        return
    table = job.file("patches", TABLE)
    rows, manifest = read_patches(table, PatchRow, LABELS), find_encoder(job)[1]
    sides = {}
    for split in ("train", "validation"):
        patches = Patches(job.input("training"), [row for row in rows if row.split == split], manifest.pixels)
        sides[split] = Side(patches, patches.labels, patches.labels.astype(np.float64))
    print(f"{len(sides['train'].labels)} patches train, {len(sides['validation'].labels)} validate")
    inputs = {"patches": sha256_of(table)}
    learnt = learn(job, "train_tumour", sides["train"], sides["validation"], settings, inputs)
    if World.current().rank > 0:
        return
    config, files = describe_model(
        TumourConfig,
        learnt,
        sides["train"],
        sides["validation"],
        settings,
        manifest=manifest,
        labels=LABELS,
        inputs=inputs,
        serving_code=closure(serving.__name__).hash,
    )
    save_artefact(job.output("model"), config, files, endpoint_code(serving.__name__), serving.__name__)


if __name__ == "__main__":
    run(main)
