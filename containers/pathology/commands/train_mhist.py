"""TrainMhist: patches and an encoder → a patch classifier, such as HP against SSA, as a model artefact."""

from __future__ import annotations

from pathology.artefact import save_artefact
from pathology.contracts.code import closure
from pathology.contracts.hashes import sha256_of
from pathology.contracts.mhist.train import TrainMhist
from pathology.contracts.patches import DATASET, TABLE
from pathology.job import Job, run
from pathology.patches.dataset import PatchDataset
from pathology.patches.learning import describe_model, find_job_encoder, learn, left_to_the_first
from pathology.serving.code import endpoint_code
from pathology.tasks.mhist import baseline, serving
from pathology.tasks.mhist.artefact import MhistConfig
from pathology.tasks.mhist.dataset import read_patches
from pathology.tasks.mhist.training import training_side
from pathology.training.baseline import FILE as BASELINE
from pathology.training.epochs import World


def main(job: Job) -> None:
    """Train in the way that ``fine_tuning`` says, choose the threshold on validation, pack the artefact."""
    settings = job.hyperparameters(TrainMhist)
    if left_to_the_first(job, settings):
        return
    table, labels = job.file("patches", TABLE), PatchDataset.read(job.file("patches", DATASET)).labels
    rows, manifest = read_patches(table, labels), find_job_encoder(job)[1]
    train_side, validation = (
        training_side([row for row in rows if row.split == split], job.input("training"), manifest.pixels, settings, number)
        for number, split in enumerate(("train", "validation"))
    )
    print(f"{len(train_side.labels)} patches train ({train_side.labels.sum()} {labels[1]}), {len(validation.labels)} validate")
    inputs = {"patches": sha256_of(table)}
    learnt = learn(job, "train_mhist", train_side, validation, settings, inputs)
    if World.current().rank > 0:
        return
    config, files = describe_model(
        MhistConfig,
        learnt,
        train_side,
        validation,
        settings,
        manifest=manifest,
        labels=labels,
        inputs=inputs,
        serving_code=closure(serving.__name__).hash,
    )
    simple, files[BASELINE] = baseline.fit(train_side.patches, train_side.targets, validation.patches, validation.targets).pack()
    config = config.model_copy(update={"baseline": simple})
    save_artefact(job.output("model"), config, files, endpoint_code(serving.__name__), serving.__name__)


if __name__ == "__main__":
    run(main)
