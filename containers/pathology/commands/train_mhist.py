"""TrainMhist: patches and an encoder → a patch classifier, HP against SSA, as a model artefact."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from pathology.contracts.code import closure
from pathology.contracts.features import EncoderCard
from pathology.contracts.log_lines import TRAINING_LOSS, VALIDATION_ACCURACY, VALIDATION_AUROC, VALIDATION_LOSS, metric_line
from pathology.contracts.settings_mhist import TrainMhist
from pathology.contracts.tables import PatchRow
from pathology.datasets.mhist import ANNOTATORS, LABELS, Patches, read_patches
from pathology.job import Job, run
from pathology.metrics.ranking import auroc, youden_threshold
from pathology.models import serve_mhist
from pathology.models.archive import EncoderIdentity, pack_tensors, save_artefact
from pathology.models.checkpoints import checkpoint_key
from pathology.models.embedding_cache import embed_all, embed_patches
from pathology.models.encoder import find_staged, load_encoder
from pathology.models.epoch_training import World
from pathology.models.linear_probe import cross_entropy, fit_probe
from pathology.models.mhist_artefact import HEAD, TUNED, Head, MhistConfig, Validation, Weights
from pathology.models.patch_batches import LabelledPatches
from pathology.models.patch_classifier import PatchClassifier, serving_encoder
from pathology.models.patch_training import train
from pathology.serving.code import endpoint_code

LIBRARIES = ("lightning", "numpy", "peft", "safetensors", "scikit-learn", "timm", "torch")


@dataclass(frozen=True)
class Side:
    """One side of the split: rows, patches, hard ``labels`` (n,) and ``targets`` (n,) in 0 to 1 as the model learns them."""

    rows: Sequence[PatchRow]
    patches: Patches
    labels: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[PatchRow], root: Path, pixels: int, settings: TrainMhist, number: int) -> Side:
        """``number`` tells the sides' shuffles apart."""
        order = np.arange(len(rows))
        if settings.shuffle_labels:  # a control: what is learnt from these must not hold on the test patches
            order = np.random.default_rng((settings.seed, number)).permutation(len(rows))
        labels = np.array([row.label for row in rows])[order]
        votes = np.array([row.votes for row in rows])[order]
        return cls(
            rows, Patches(root, rows, pixels), labels, votes / ANNOTATORS if settings.soft_labels else labels.astype(float)
        )

    @property
    def hashes(self) -> list[str]:
        """The files' sha256, in the rows' order."""
        return [row.sha256 for row in self.rows]


@dataclass(frozen=True)
class Outcome:
    """What training gives: the head, the encoder's trained tensors, where they are from, and validation's probabilities."""

    head: Head
    tuned: dict[str, torch.Tensor]
    epoch: int
    probabilities: np.ndarray


def main(job: Job) -> None:
    """Train in the way that ``tune`` says, choose the threshold on validation, pack the artefact."""
    settings = job.hyperparameters(TrainMhist)
    alone = settings.tune == "linear" or World.current().size == 1
    if alone and (job.rank > 0 or World.current().rank > 0):
        print(f"{job.host}: tune {settings.tune} trains on one device here; the first process does it")
        return
    table = job.file("patches", ".csv")
    rows = read_patches(table)
    place, card = find_staged(job.input("models"), job.input("encoder") if job.has_input("encoder") else None)
    train_side, validation = (
        Side.of([row for row in rows if row.split == split], job.input("training"), card.pixels, settings, number)
        for number, split in enumerate(("train", "validation"))
    )
    print(f"{len(train_side.rows)} patches train ({train_side.labels.sum()} {LABELS[1]}), {len(validation.rows)} validate")
    inputs = {"patches": hashlib.sha256(table.read_bytes()).hexdigest()}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if settings.tune == "linear":
        outcome = _probe(train_side, validation, settings, place, device, job.checkpoints)
    else:
        folder = job.checkpoints / checkpoint_key("train_mhist", settings, inputs, card.sha256, World.current().size)
        outcome = _fine_tune(train_side, validation, settings, place, device, folder)
    if World.current().rank == 0:
        _save(job.output("model"), outcome, validation, settings, inputs, card)


def _probe(side: Side, validation: Side, settings: TrainMhist, encoder: Path, device: torch.device, checkpoints: Path) -> Outcome:
    """Embeddings once, then scikit-learn in seconds."""
    precision = "float16" if settings.precision == "auto" else settings.precision
    loaded = load_encoder(encoder, device, precision)
    embeddings = embed_patches(loaded, side.patches, side.hashes, checkpoints)
    validated = embed_patches(loaded, validation.patches, validation.hashes, checkpoints)
    probe = fit_probe(embeddings, side.targets, validated, validation.targets)
    print(metric_line(TRAINING_LOSS, probe.training_loss))
    print(f"inverse penalty {probe.inverse_penalty:g} has the least validation loss")
    return Outcome(probe.head, {}, 0, probe.head.probabilities(validated))


def _fine_tune(side: Side, validation: Side, settings: TrainMhist, encoder: Path, device: torch.device, folder: Path) -> Outcome:
    """The encoder in the loop; validation's probabilities are those of the model as it will serve."""
    loaded = load_encoder(encoder, "cpu", "float32")
    classifier = PatchClassifier(loaded.card, loaded.model, settings.tune, settings.rank, settings.blocks, settings.seed)
    best = train(
        classifier,
        LabelledPatches(side.patches, side.targets),
        LabelledPatches(validation.patches, validation.targets),
        settings,
        folder,
        World.current().workers(device),
    )
    head = Head.of(classifier.head_state(), loaded.card.dimension)
    if World.current().rank > 0:
        return Outcome(head, {}, best.epoch, np.zeros(0))
    tuned = {name: value.cpu().clone() for name, value in classifier.encoder_state().items()}
    serving = serving_encoder(classifier, device)
    embeddings = embed_all(serving, validation.patches, range(len(validation.rows)), serving.batch(0))
    return Outcome(head, tuned, best.epoch, head.probabilities(embeddings))


def _save(
    folder: Path, outcome: Outcome, validation: Side, settings: TrainMhist, inputs: dict[str, str], card: EncoderCard
) -> None:
    threshold = youden_threshold(validation.labels, outcome.probabilities)
    head_hash, head = pack_tensors(outcome.head.tensors())
    files, tuned = {HEAD: head}, None
    if outcome.tuned:
        tuned_hash, files[TUNED] = pack_tensors(outcome.tuned)
        tuned = Weights(file=TUNED, sha256=tuned_hash)
    code = closure(serve_mhist.__name__)
    config = MhistConfig(
        labels=LABELS,
        threshold=threshold,
        pixels=card.pixels,
        mean=card.mean,
        std=card.std,
        encoder=EncoderIdentity(**card.model_dump(include=set(EncoderIdentity.model_fields))),
        tune=settings.tune,
        rank=settings.rank,
        blocks=settings.blocks,
        head=Weights(file=HEAD, sha256=head_hash),
        tuned=tuned,
        validation=report_validation(validation, outcome, threshold),
        training=settings.as_strings(),
        inputs=inputs,
        serving_code=code.hash,
        versions={name: version(name) for name in LIBRARIES},
    )
    save_artefact(folder, config, files, endpoint_code(serve_mhist.__name__), serve_mhist.__name__)


def report_validation(validation: Side, outcome: Outcome, threshold: float) -> Validation:
    """Print the metrics of the model as packed, which SageMaker keeps as final, and give them."""
    labels, probabilities = validation.labels, outcome.probabilities
    said = Validation(
        patches=len(labels),
        positives=int(labels.sum()),
        loss=cross_entropy(probabilities, validation.targets),
        accuracy=float(np.mean((probabilities >= threshold) == (labels == 1))),
        auroc=auroc(labels, probabilities),
        epoch=outcome.epoch,
    )
    print(metric_line(VALIDATION_LOSS, said.loss))
    print(metric_line(VALIDATION_ACCURACY, said.accuracy))
    print(metric_line(VALIDATION_AUROC, said.auroc))
    print(f"threshold {threshold:.4f}, weights of epoch {outcome.epoch}" if outcome.epoch else f"threshold {threshold:.4f}")
    return said


if __name__ == "__main__":
    run(main)
