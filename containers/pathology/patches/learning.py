"""Learning a patch classifier in the way that ``fine_tuning`` says: a probe on embeddings, or the encoder in the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch

from pathology.artefact import EncoderIdentity, library_versions
from pathology.contracts.artefact import DRIFT_BASELINE, LEARNED_FROM
from pathology.contracts.code import command_code
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.fine_tuning import FineTuning
from pathology.contracts.history import LossCurve
from pathology.contracts.learned_from import LearnedFrom
from pathology.contracts.log_lines import TRAINING_LOSS, VALIDATION_ACCURACY, VALIDATION_AUROC, VALIDATION_LOSS, metric_line
from pathology.contracts.operating_points import OperatingPoint, OperatingSettings
from pathology.encoders.embedding_cache import embed_all, embed_patches
from pathology.encoders.encoder import load_encoder
from pathology.encoders.job_encoder import find_encoder
from pathology.job import Job
from pathology.metrics.operating_points import choose, deciding
from pathology.metrics.ranking import auroc
from pathology.patches.artefact import PatchConfig, Validation, pack_weights
from pathology.patches.batches import LabelledPatches
from pathology.patches.classifier import PatchClassifier, serving_encoder
from pathology.patches.dataset import Patches
from pathology.patches.drift import drift_baseline
from pathology.patches.head import Head
from pathology.patches.learned_from import items
from pathology.patches.probe import fit_probe
from pathology.patches.training import train
from pathology.training.checkpoints import checkpoint_key
from pathology.training.drift import drawn, pack
from pathology.training.epochs import EpochSettings, World
from pathology.training.logistic import cross_entropy

LIBRARIES = ("lightning", "numpy", "peft", "safetensors", "scikit-learn", "timm", "torch")


class PatchSettings(EpochSettings, Protocol):
    """What training a patch classifier is told; all are read only. See a task's own settings for what they mean."""

    @property
    def fine_tuning(self) -> FineTuning: ...
    @property
    def rank(self) -> int: ...
    @property
    def blocks(self) -> int: ...


@dataclass(frozen=True)
class Side:
    """One side of the split: patches, hard ``labels`` (n,), and ``targets`` (n,) in 0 to 1 as the model learns them."""

    patches: Patches
    labels: np.ndarray
    targets: np.ndarray

    @property
    def hashes(self) -> list[str]:
        """The files' sha256, in the patches' order."""
        return [row.sha256 for row in self.patches.rows]


@dataclass(frozen=True)
class Learnt:
    """What training gives: the head, the encoder's trained tensors, where they are from, and validation's probabilities.

    ``code`` is the hash of the command's, ``curves`` are the losses by epoch, none of a probe. ``threshold`` is one that was fixed
    beforehand; None: Youden's on validation. ``embeddings`` (n, D) are the model's of those training patches that
    :func:`pathology.training.drift.drawn` draws; only the first process has them.
    """

    head: Head
    encoder_weights: dict[str, torch.Tensor]
    epoch: int
    probabilities: np.ndarray
    code: str = ""
    curves: tuple[LossCurve, ...] = ()
    threshold: float | None = None
    embeddings: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))


def left_to_the_first(job: Job, settings: PatchSettings) -> bool:
    """Whether this process has nothing to do: a probe, or hosts that nothing joins, train in the first one alone. It says so."""
    world = World.current()
    alone = settings.fine_tuning == "linear" or world.size == 1
    if alone and (job.rank > 0 or world.rank > 0):
        print(f"{job.host}: fine-tuning {settings.fine_tuning} trains on one device here; the first process does it")
        return True
    return False


def learn(
    job: Job,
    command: str,
    side: Side,
    validation: Side,
    settings: PatchSettings,
    inputs: Mapping[str, str],
) -> Learnt:
    """Train on ``side`` in the way that ``fine_tuning`` says; ``inputs`` are the sha256 of what is learnt from, by name.

    All processes of torchrun call this; the first has validation's probabilities, those of the model as it will serve.

    Raises:
        RequestError: for a batch size that cannot be shared, or a precision that the GPU has not.
        DataError: for a patch that cannot be read, or a validation loss that was never a number.
    """
    folder, manifest = find_encoder(job)
    if settings.fine_tuning == "linear":
        learnt = _probe(job, side, validation, settings)
    else:
        assert isinstance(settings, OperatingSettings)
        key = checkpoint_key(command, settings, inputs, manifest.sha256, World.current().size)
        learnt = _fine_tune(side, validation, settings, folder, _device(), job.checkpoints / key)
    return replace(learnt, code=command_code(command).hash)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def embed_both(job: Job, side: Side, other: Side, settings: PatchSettings) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, D) and (m, D) float16 of two sides by the job's encoder as it is, kept among the job's checkpoints.

    Raises:
        DataError: for a patch that cannot be read.
    """
    precision = "float16" if settings.precision == "auto" else settings.precision
    encoder = load_encoder(find_encoder(job)[0], _device(), precision)
    first, second = (embed_patches(encoder, each.patches, each.hashes, job.checkpoints) for each in (side, other))
    return first, second


def _probe(job: Job, side: Side, validation: Side, settings: PatchSettings) -> Learnt:
    """Embeddings once, then scikit-learn in seconds."""
    embeddings, validated = embed_both(job, side, validation, settings)
    probe = fit_probe(embeddings, side.targets, validated, validation.targets)
    print(metric_line(TRAINING_LOSS, probe.training_loss))
    print(f"inverse penalty {probe.inverse_penalty:g} has the least validation loss")
    taken = embeddings[drawn(len(embeddings), settings.seed)]
    return Learnt(probe.head, {}, 0, probe.head.probabilities(validated), embeddings=taken)


def _fine_tune(
    side: Side, validation: Side, settings: PatchSettings, encoder: Path, device: torch.device, folder: Path
) -> Learnt:
    """The encoder in the loop."""
    loaded = load_encoder(encoder, "cpu", "float32")
    classifier = PatchClassifier(
        loaded.manifest, loaded.model, settings.fine_tuning, settings.rank, settings.blocks, settings.seed
    )
    best = train(
        classifier,
        LabelledPatches(side.patches, side.targets),
        LabelledPatches(validation.patches, validation.targets),
        settings,
        folder,
        World.current().workers(device),
    )
    head = Head.of(classifier.head_state(), loaded.manifest.dimension, "the trained head")
    if World.current().rank > 0:
        return Learnt(head, {}, best.epoch, np.zeros(0))
    weights = {name: value.cpu().clone() for name, value in classifier.encoder_state().items()}
    serving = serving_encoder(classifier, device)
    embeddings = embed_all(serving, validation.patches, range(len(validation.labels)), serving.batch(0))
    curves = (best.curve,) if best.curve else ()
    taken = embed_all(serving, side.patches, drawn(len(side.labels), settings.seed).tolist(), serving.batch(0))
    return Learnt(head, weights, best.epoch, head.probabilities(embeddings), curves=curves, embeddings=taken)


C = TypeVar("C", bound=PatchConfig)


def describe_model(
    kind: type[C],
    learnt: Learnt,
    side: Side,
    validation: Side,
    settings: PatchSettings,
    *,
    manifest: EncoderManifest,
    labels: tuple[str, str],
    inputs: Mapping[str, str],
    serving_code: str,
    splits: Sequence[Literal["train", "validation"]] = ("train",),
) -> tuple[C, dict[str, bytes]]:
    """config.json of what was ``learnt`` from ``side``, its threshold chosen on ``validation``, and the artefact's files by name.
    ``side`` is of ``splits``.

    Prints the metrics of the model as packed, which SageMaker keeps as final.
    """
    assert isinstance(settings, OperatingSettings)
    points: tuple[OperatingPoint, ...] = ()
    threshold = learnt.threshold
    if threshold is None:
        points = choose(validation.labels, learnt.probabilities, settings)
        threshold = deciding(points, settings)
    files, head, encoder_weights = pack_weights(learnt.head, learnt.encoder_weights)
    taken = drawn(len(side.labels), settings.seed)
    drift, files[DRIFT_BASELINE] = pack(drift_baseline(side.patches, taken, learnt.embeddings, manifest, splits))
    learned_from, files[LEARNED_FROM] = LearnedFrom.of(items((*side.patches.rows, *validation.patches.rows)), inputs).pack()
    config = kind(
        labels=labels,
        threshold=threshold,
        operating_points=points,
        pixels=manifest.pixels,
        mean=manifest.mean,
        std=manifest.std,
        encoder=EncoderIdentity.of(manifest),
        fine_tuning=settings.fine_tuning,
        rank=settings.rank,
        blocks=settings.blocks,
        head=head,
        encoder_weights=encoder_weights,
        validation=report_validation(validation, learnt, threshold),
        training=settings.as_strings(),
        inputs=dict(inputs),
        learned_from=learned_from,
        drift_baseline=drift,
        serving_code=serving_code,
        versions=library_versions(*LIBRARIES),
        training_code=learnt.code,
        curves=learnt.curves,
    )
    return config, files


def report_validation(validation: Side, learnt: Learnt, threshold: float) -> Validation:
    """Print the metrics of the model as packed, which SageMaker keeps as final, and give them."""
    labels, probabilities = validation.labels, learnt.probabilities
    report = Validation(
        patches=len(labels),
        positives=int(labels.sum()),
        loss=cross_entropy(probabilities, validation.targets),
        accuracy=float(np.mean((probabilities >= threshold) == (labels == 1))),
        auroc=auroc(labels, probabilities),
        epoch=learnt.epoch,
    )
    print(metric_line(VALIDATION_LOSS, report.loss))
    print(metric_line(VALIDATION_ACCURACY, report.accuracy))
    print(metric_line(VALIDATION_AUROC, report.auroc))
    print(f"threshold {threshold:.4f}, weights of epoch {learnt.epoch}" if learnt.epoch else f"threshold {threshold:.4f}")
    return report


def permuted(count: int, seed: Sequence[int]) -> np.ndarray:
    """A permutation of ``count`` labels: a negative control; what is learnt from these must not hold on the test patches."""
    order: Any = np.random.default_rng(tuple(seed)).permutation(count)
    return np.asarray(order)
