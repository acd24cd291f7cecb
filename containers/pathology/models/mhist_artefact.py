"""The mhist model artefact: a head, what was trained inside the encoder, and the encoder's name by hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pathology.contracts.errors import DataError
from pathology.contracts.features import EncoderCard, Sha256
from pathology.contracts.settings_mhist import Tune
from pathology.models.archive import EncoderIdentity, Part, check_encoder, check_tensors, read_config, read_tensors
from pathology.models.encoder import Encoder, load_encoder
from pathology.models.patch_classifier import PatchClassifier, load_tuned, serving_encoder

HEAD: Final = "head.safetensors"
TUNED: Final = "encoder.safetensors"


class Weights(Part):
    """A safetensors file of the artefact and its hash."""

    file: Literal["head.safetensors", "encoder.safetensors"]
    sha256: Sha256


class Validation(Part):
    """How training ended on the validation patches; the threshold was chosen on them, so their accuracy flatters."""

    patches: int
    positives: int
    loss: float
    accuracy: float
    auroc: float
    epoch: int
    """Where the weights are from, counted from 1; 0 for a probe, which has no epochs."""


class MhistConfig(Part):
    """config.json. ``threshold`` is on the probability of class 1; ``labels`` name class 0 and class 1.

    ``pixels`` is the patches' side in px, ``mean`` and ``std`` their normalisation; ``tuned`` is absent for ``linear``; ``rank``
    and ``blocks`` are those of ``lora`` and ``last-blocks``.
    """

    format_version: Literal[1] = 1
    task: Literal["mhist"] = "mhist"
    labels: tuple[str, str]
    threshold: Annotated[float, Field(ge=0, le=1)]
    pixels: Annotated[int, Field(ge=1)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    encoder: EncoderIdentity
    tune: Tune
    rank: Annotated[int, Field(ge=1)]
    blocks: Annotated[int, Field(ge=1)]
    head: Weights
    tuned: Weights | None
    validation: Validation
    training: dict[str, str]
    inputs: dict[str, Sha256]
    serving_code: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Head:
    """A linear head on embeddings: ``weight`` (D,) and ``bias``, float64."""

    weight: np.ndarray
    bias: float

    @classmethod
    def of(cls, tensors: dict[str, Tensor], dimension: int, where: str = HEAD) -> Head:
        """From ``weight`` (D,) and ``bias`` ().

        Raises:
            DataError: naming the tensor that is missing, surplus, of another shape or not finite.
        """
        shapes = {"weight": (dimension,), "bias": ()}
        check_tensors(tensors, shapes, where)
        return cls(tensors["weight"].detach().double().cpu().numpy(), float(tensors["bias"]))

    def tensors(self) -> dict[str, Tensor]:
        """What :meth:`of` reads."""
        return {"weight": torch.from_numpy(self.weight), "bias": torch.tensor(self.bias, dtype=torch.float64)}

    def probabilities(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings (B, D) → probabilities of class 1, (B,) float64."""
        # Row by row, so that a patch gets the same answer in whatever company.
        logits = (embeddings.astype(np.float64) * self.weight).sum(axis=1) + self.bias
        return np.exp(-np.logaddexp(0.0, -logits))


@dataclass(frozen=True)
class MhistModel:
    """A loaded classifier; ``sha256`` is that of config.json, which holds the hashes of all weights and of the encoder."""

    config: MhistConfig
    encoder: Encoder
    head: Head
    sha256: str

    @property
    def version(self) -> str:
        """12 hexadecimal digits that name the model."""
        return self.sha256[:12]

    def probabilities(self, patches: np.ndarray) -> np.ndarray:
        """``patches`` (B, H, W, 3) uint8 of ``config.pixels`` a side → probabilities of class 1, (B,) float64."""
        return self.head.probabilities(self.encoder.embed(patches))


def load_mhist(folder: Path, encoder: Path, device: str | torch.device = "cpu") -> MhistModel:
    """Load a classifier from its unpacked folder and the folder of the encoder it names.

    Raises:
        DataError: for a missing or newer configuration, weights that are gone, changed or misshapen, or another encoder.
    """
    config, sha256 = read_config(folder, MhistConfig)
    head = Head.of(read_tensors(folder, config.head.file, config.head.sha256), config.encoder.dimension)
    base = load_encoder(encoder, "cpu" if config.tuned else device)
    check_card(config, base.card)
    if config.tuned is None:
        if config.tune != "linear":
            raise DataError(f"the model artefact names no {TUNED}, and tune {config.tune} trains some: register a whole one")
        return MhistModel(config, base, head, sha256)
    classifier = PatchClassifier(base.card, base.model, config.tune, config.rank, config.blocks)
    load_tuned(classifier, read_tensors(folder, config.tuned.file, config.tuned.sha256), config.tuned.file)
    return MhistModel(config, serving_encoder(classifier, torch.device(device)), head, sha256)


def check_card(config: MhistConfig, card: EncoderCard) -> None:
    """Hold an encoder's card against what the model was trained on.

    Raises:
        DataError: naming what differs.
    """
    check_encoder(config.encoder, {name: getattr(config, name) for name in ("pixels", "mean", "std")}, card)
