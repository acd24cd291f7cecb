"""TrainLizard: patches with nuclei and an encoder → a network that outlines and types nuclei, as a model artefact."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import torch

from pathology.contracts.code import command_code
from pathology.contracts.learned_from import LearnedFrom
from pathology.contracts.lizard.patches import NucleiDataset
from pathology.contracts.lizard.train import TrainLizard
from pathology.encoders.encoder import load_encoder
from pathology.encoders.job_encoder import find_encoder
from pathology.job import Job, run
from pathology.serving.code import endpoint_code
from pathology.tasks.lizard import serving
from pathology.tasks.lizard.artefact import save_lizard
from pathology.tasks.lizard.batches import NuclearPatches, NucleiSource, PermutedLabels
from pathology.tasks.lizard.dataset import Nuclei, read_prepared
from pathology.tasks.lizard.drift import drift_baseline
from pathology.tasks.lizard.learned_from import items
from pathology.tasks.lizard.model import NuclearUnet
from pathology.tasks.lizard.training import train, validate
from pathology.training.checkpoints import checkpoint_key
from pathology.training.drift import pack
from pathology.training.epochs import World

COMMAND = "train_lizard"


def main(job: Job) -> None:
    """Train on the train side, keep the epoch of least validation loss, pack the artefact."""
    settings, world = job.hyperparameters(TrainLizard), World.current()
    if world.size == 1 and job.rank > 0:
        print(f"{job.host}: nothing joins the hosts' processes here; the first host trains alone")
        return
    rows, dataset = read_prepared(job.input("patches"))
    encoder, manifest = find_encoder(job)
    first = world.rank % world.local_size == 0  # on its host: the others need not read two gigabytes again
    sides = {
        split: Nuclei(job.input("training"), [row for row in rows if row.split == split], dataset, first and split == "train")
        for split in ("train", "validation")
    }
    if world.rank == 0:
        print(f"{len(sides['train']):,} patches train, {len(sides['validation']):,} validate, encoder {settings.fine_tuning}")
    data = NuclearPatches(learnt(sides["train"], settings, 0), len(dataset.classes), settings.balance, settings.augment)
    validation = NuclearPatches(learnt(sides["validation"], settings, 1), len(dataset.classes))
    net = build(encoder, settings, len(dataset.classes))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    inputs = _inputs(dataset)
    folder = job.checkpoints / checkpoint_key(COMMAND, settings, inputs, manifest.sha256, world.size)
    best = train(net, data, validation, settings, folder, world.workers(device))
    if world.rank == 0:
        final = validate(net, validation, best.epoch, device, world.workers(device))
        print(f"weights of epoch {best.epoch}")
        save_lizard(
            job.output("model"),
            net,
            classes=dataset.classes,
            settings=settings,
            validation=final,
            inputs=inputs,
            learned_from=LearnedFrom.of(chain.from_iterable(map(items, sides.values())), inputs).pack(),
            drift_baseline=pack(drift_baseline(net, sides["train"], settings.seed, device)),
            code=endpoint_code(serving.__name__),
            training_code=command_code(COMMAND).hash,
            curve=best.curve,
        )


def learnt(side: Nuclei, settings: TrainLizard, number: int) -> NucleiSource:
    """The patches of a side as they are, or with labels permuted as ``settings`` say; ``number`` tells the sides' permutations apart."""
    return PermutedLabels(side, (settings.seed, number)) if settings.shuffle_labels else side


def build(encoder: Path, settings: TrainLizard, classes: int) -> NuclearUnet:
    """The network to train, on the encoder in the folder ``encoder``; its start is the seed's.

    Raises:
        DataError: for an encoder that is not whole.
    """
    base = load_encoder(encoder, "cpu", "float32")
    return NuclearUnet(base, classes, settings.width, settings.fine_tuning, settings.rank, settings.seed)


def _inputs(dataset: NucleiDataset) -> dict[str, str]:
    """What is learnt from, by sha256."""
    return {"patches": dataset.patches_sha256, "images": dataset.images_sha256, "labels": dataset.labels_sha256}


if __name__ == "__main__":
    run(main)
