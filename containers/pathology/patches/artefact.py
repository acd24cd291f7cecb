"""The artefact of a patch classifier: a head, what was trained inside the encoder, and the encoder's name by hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar

import numpy as np
import torch
from pydantic import Field

from pathology.artefact import BinaryConfig, LoadedModel, Part, Weights, check_encoder, pack_tensors, read_config, read_tensors
from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.fine_tuning import FineTuning
from pathology.encoders.encoder import Encoder, load_encoder
from pathology.patches.classifier import PatchClassifier, load_encoder_weights, serving_encoder
from pathology.patches.head import Head

HEAD: Final = "head.safetensors"
ENCODER_WEIGHTS: Final = "encoder.safetensors"


class Validation(Part):
    """How training ended on the validation patches; epoch and threshold were chosen on them."""

    patches: int
    positives: int
    loss: float
    accuracy: float
    auroc: float
    epoch: int
    """Where the weights are from, counted from 1; 0 for a probe, which has no epochs."""


class PatchConfig(BinaryConfig):
    """config.json; a task names itself in it.

    ``pixels`` is the patches' side in px, ``mean`` and ``std`` their normalisation; ``encoder_weights`` are what was trained inside
    the encoder, absent for ``linear``; ``rank`` and ``blocks`` are those of ``lora`` and ``last-blocks``.
    """

    pixels: Annotated[int, Field(ge=1)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fine_tuning: FineTuning
    rank: Annotated[int, Field(ge=1)]
    blocks: Annotated[int, Field(ge=1)]
    head: Weights
    encoder_weights: Weights | None
    validation: Validation


C = TypeVar("C", bound=PatchConfig)


@dataclass(frozen=True)
class PatchModel(LoadedModel[C]):
    """A loaded classifier."""

    encoder: Encoder
    head: Head

    def probabilities(self, patches: np.ndarray) -> np.ndarray:
        """``patches`` (B, H, W, 3) uint8 of ``config.pixels`` a side → probabilities of class 1, (B,) float64."""
        return self.head.probabilities(self.encoder.embed(patches))


def pack_weights(head: Head, encoder_weights: Mapping[str, torch.Tensor]) -> tuple[dict[str, bytes], Weights, Weights | None]:
    """The artefact's files by name, and what config.json says of the head and of the encoder's trained weights, if any."""
    sha256, content = pack_tensors(head.tensors())
    files, entry = {HEAD: content}, None
    if encoder_weights:
        encoder_sha256, files[ENCODER_WEIGHTS] = pack_tensors(encoder_weights)
        entry = Weights(file=ENCODER_WEIGHTS, sha256=encoder_sha256)
    return files, Weights(file=HEAD, sha256=sha256), entry


def load_model(folder: Path, encoder: Path, kind: type[C], device: str | torch.device = "cpu") -> PatchModel[C]:
    """Load a classifier from its unpacked folder and the folder of the encoder it names.

    Raises:
        DataError: for a missing configuration or one of another version, weights that are gone, changed or misshapen, or another encoder.
    """
    config, sha256 = read_config(folder, kind)
    head = Head.of(read_tensors(folder, config.head.file, config.head.sha256), config.encoder.dimension, HEAD)
    base = load_encoder(encoder, "cpu" if config.encoder_weights else device)
    check_manifest(config, base.manifest)
    if config.encoder_weights is None:
        if config.fine_tuning != "linear":
            raise DataError(
                f"the model artefact names no {ENCODER_WEIGHTS}, and fine-tuning {config.fine_tuning} trains some: "
                "register a whole one"
            )
        return PatchModel(config, sha256, base, head)
    classifier = PatchClassifier(base.manifest, base.model, config.fine_tuning, config.rank, config.blocks)
    weights = read_tensors(folder, config.encoder_weights.file, config.encoder_weights.sha256)
    load_encoder_weights(classifier, weights, config.encoder_weights.file)
    return PatchModel(config, sha256, serving_encoder(classifier, torch.device(device)), head)


def check_manifest(config: PatchConfig, manifest: EncoderManifest) -> None:
    """Hold an encoder's manifest against what the model was trained on.

    Raises:
        DataError: naming what differs.
    """
    check_encoder(config.encoder, {name: getattr(config, name) for name in ("pixels", "mean", "std")}, manifest)
