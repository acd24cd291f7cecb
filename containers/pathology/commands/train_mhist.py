"""TrainMhist: patches and an encoder → a patch classifier, such as HP against SSA, as a model artefact."""

from __future__ import annotations

from collections.abc import Sequence

from pathology.artefact import save_artefact
from pathology.contracts.code import closure
from pathology.contracts.hashes import sha256_of
from pathology.contracts.mhist.train import TrainMhist
from pathology.contracts.patches import DATASET, TABLE
from pathology.encoders.job_encoder import find_encoder
from pathology.job import Job, run
from pathology.patches.dataset import PatchDataset
from pathology.patches.eva import EVA, EvaRun, learn_by_eva
from pathology.patches.learning import Side, describe_model, learn, left_to_the_first
from pathology.serving.code import endpoint_code
from pathology.tasks.mhist import baseline, serving
from pathology.tasks.mhist.artefact import EvaRunRecord, EvaTraining, MhistConfig
from pathology.tasks.mhist.dataset import read_patches
from pathology.tasks.mhist.training import training_side
from pathology.training.baseline import FILE as BASELINE
from pathology.training.epochs import World

COMMAND = "train_mhist"


def main(job: Job) -> None:
    """Train in the way that ``fine_tuning`` says, choose the threshold on validation, pack the artefact."""
    settings = job.hyperparameters(TrainMhist)
    if left_to_the_first(job, settings):
        return
    table, labels = job.file("patches", TABLE), PatchDataset.read(job.file("patches", DATASET)).labels
    rows, manifest = read_patches(table, labels), find_encoder(job)[1]

    def side(number: int, *splits: str) -> Side:
        chosen = [row for row in rows if row.split in splits]
        return training_side(chosen, job.input("training"), manifest.pixels, settings, number)

    train, validation = learnt_on, chosen_on = side(0, "train"), side(1, "validation")
    if settings.protocol == "eva":
        learnt_on, chosen_on = side(0, "train", "validation"), side(2, "test")
    print(f"{len(learnt_on.labels)} patches train ({learnt_on.labels.sum()} {labels[1]}), {len(chosen_on.labels)} validate")
    inputs, eva = {"patches": sha256_of(table)}, None
    if settings.protocol == "eva":
        learnt, runs = learn_by_eva(job, COMMAND, learnt_on, chosen_on, settings, settings.seed, EVA)
        eva = eva_record(runs, len(learnt_on.labels))
    else:
        learnt = learn(job, COMMAND, learnt_on, chosen_on, settings, inputs)
    if World.current().rank > 0:
        return
    config, files = describe_model(
        MhistConfig,
        learnt,
        learnt_on,
        chosen_on,
        settings,
        manifest=manifest,
        labels=labels,
        inputs=inputs,
        serving_code=closure(serving.__name__).hash,
        splits=("train", "validation") if settings.protocol == "eva" else ("train",),
    )
    simple, files[BASELINE] = baseline.fit(train.patches, train.targets, validation.patches, validation.targets).pack()
    config = config.model_copy(update={"baseline": simple, "eva": eva})
    save_artefact(job.output("model"), config, files, endpoint_code(serving.__name__), serving.__name__)


def eva_record(runs: Sequence[EvaRun], patches: int) -> EvaTraining:
    """What config.json says of ``runs`` on so many ``patches``."""
    records = tuple(EvaRunRecord(seed=run.seed, epoch=run.epoch, balanced_accuracy=run.balanced_accuracy) for run in runs)
    return EvaTraining(
        steps=EVA.steps,
        batch_size=EVA.batch_size,
        learning_rate=EVA.learning_rate,
        weight_decay=EVA.weight_decay,
        patience=EVA.patience,
        patches=patches,
        runs=records,
    )


if __name__ == "__main__":
    run(main)
