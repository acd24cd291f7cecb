"""The lizard model artefact: a decoder, the encoder's adapters where it has any, and the encoder's name by hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import torch
from pydantic import Field, model_validator

from pathology.contracts.code import Code, closure
from pathology.contracts.errors import RequestError
from pathology.contracts.features import Sha256
from pathology.contracts.settings_lizard import Classes, TrainLizard
from pathology.models.archive import (
    EncoderIdentity,
    Part,
    check_encoder,
    check_tensors,
    pack_tensors,
    read_config,
    read_tensors,
    save_artefact,
)
from pathology.models.encoder import load_encoder
from pathology.models.nuclear_prediction import Predictor
from pathology.models.nuclear_unet import NuclearUnet
from pathology.nuclei.watershed import STANDARD, Recipe

DECODER: Final = "decoder.safetensors"
TUNED: Final = "encoder.safetensors"
SERVING = "pathology.models.serve_lizard"
"""By name: that module imports this one."""
SIDE, OVERLAP = 256, 64
"""px: windows are as large as the patches that are learnt from."""
MPP = 0.5
"""µm a px of Lizard's patches (20×), and of every picture that a model of ours is shown."""
LIBRARIES = ("lightning", "numpy", "peft", "safetensors", "scikit-image", "scipy", "timm", "torch")


class Weights(Part):
    """A safetensors file of the artefact and its hash."""

    file: Literal["decoder.safetensors", "encoder.safetensors"]
    sha256: Sha256


class Watershed(Part):
    """The :class:`Recipe` that turns the network's maps into nuclei: lengths in px, areas in px²."""

    threshold: float
    smoothing: float
    smallest_marker: int
    smallest: int
    largest_hole: int

    @model_validator(mode="after")
    def _possible(self) -> Watershed:
        try:
            self.recipe()
        except RequestError as error:
            raise ValueError(str(error)) from None
        return self

    def recipe(self) -> Recipe:
        """As the watershed takes it."""
        return Recipe(**self.model_dump())


class Validation(Part):
    """How training ended on the validation patches, means over patches; ``epoch``, counted from 1, is where the weights are from."""

    patches: int
    loss: float
    iou: float
    dice: float
    pq: float
    epoch: int


class LizardConfig(Part):
    """config.json. ``classes`` name classes 1, 2, …; ``pixels`` is a window's side and ``overlap`` what neighbours share, in px.

    ``mean`` and ``std`` are the normalisation, ``mpp`` is µm a px; ``tuned`` is absent for ``frozen``, ``rank`` is that of ``lora``,
    ``width`` the decoder's channels at full resolution.
    """

    format_version: Literal[1] = 1
    task: Literal["lizard"] = "lizard"
    classes: Classes
    pixels: Annotated[int, Field(ge=64, le=1024)]
    overlap: Annotated[int, Field(ge=4)]
    mpp: Annotated[float, Field(gt=0)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    encoder: EncoderIdentity
    tuning: Literal["frozen", "lora"]
    rank: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=4, le=256)]
    recipe: Watershed
    decoder: Weights
    tuned: Weights | None
    validation: Validation
    training: dict[str, str]
    inputs: dict[str, Sha256]
    serving_code: str
    versions: dict[str, str]

    @model_validator(mode="after")
    def _consistent(self) -> LizardConfig:
        if (self.tuned is None) != (self.tuning == "frozen"):
            raise ValueError(f"tuned: names {self.tuned and self.tuned.file}, and tuning is {self.tuning}")
        if self.overlap > self.pixels / 2:
            raise ValueError(f"overlap: {self.overlap} px is more than half of {self.pixels}")
        return self


@dataclass(frozen=True)
class LizardModel:
    """A loaded model; ``sha256`` is that of config.json, which holds the hashes of all weights and of the encoder."""

    config: LizardConfig
    predictor: Predictor
    sha256: str

    @property
    def version(self) -> str:
        """12 hexadecimal digits that name the model."""
        return self.sha256[:12]

    def labels(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8 → their nuclei in CoNIC's layout, (H, W, 2) uint16 each; see :class:`Predictor`."""
        return self.predictor.labels(images)


def save_lizard(
    folder: Path,
    net: NuclearUnet,
    *,
    classes: Sequence[str],
    settings: TrainLizard,
    validation: Validation,
    inputs: Mapping[str, str],
    code: Code,
    recipe: Recipe = STANDARD,
) -> None:
    """Write ``net`` as trained, adapters not folded, to ``folder``; same content, same bytes.

    ``code`` is what the endpoint runs on (:func:`pathology.serving.code.endpoint_code`); ``inputs`` are the sha256 of what was
    learnt from, by name.
    """
    card = net.card
    decoder_hash, decoder = pack_tensors(net.decoder.state_dict())
    files, tuned = {DECODER: decoder}, None
    if adapters := net.encoder_state():
        tuned_hash, files[TUNED] = pack_tensors(adapters)
        tuned = Weights(file=TUNED, sha256=tuned_hash)
    config = LizardConfig(
        classes=tuple(classes),
        pixels=SIDE,
        overlap=OVERLAP,
        mpp=MPP,
        mean=card.mean,
        std=card.std,
        encoder=EncoderIdentity(**card.model_dump(include=set(EncoderIdentity.model_fields))),
        tuning=net.tuning,
        rank=settings.rank,
        width=settings.width,
        recipe=Watershed(**asdict(recipe)),
        decoder=Weights(file=DECODER, sha256=decoder_hash),
        tuned=tuned,
        validation=validation,
        training=settings.as_strings(),
        inputs=dict(inputs),
        serving_code=closure(SERVING).hash,
        versions={name: version(name) for name in LIBRARIES},
    )
    save_artefact(folder, config, files, code, SERVING)


def load_lizard(folder: Path, encoder: Path, device: str | torch.device = "cpu") -> LizardModel:
    """Load a model from its unpacked folder and the folder of the encoder it names; half precision on a GPU, float32 on a CPU.

    Raises:
        DataError: for a missing or newer configuration, weights that are gone, changed or misshapen, or another encoder.
    """
    config, sha256 = read_config(folder, LizardConfig)
    decoder = read_tensors(folder, config.decoder.file, config.decoder.sha256)
    adapters = read_tensors(folder, config.tuned.file, config.tuned.sha256) if config.tuned else {}
    base = load_encoder(encoder)
    check_encoder(config.encoder, {"mean": config.mean, "std": config.std}, base.card)
    net = NuclearUnet(base, len(config.classes), config.width, config.tuning, config.rank)
    restore(net, decoder, adapters)
    predictor = Predictor(net.for_serving(), torch.device(device), config.recipe.recipe(), config.pixels, config.overlap)
    return LizardModel(config, predictor, sha256)


def restore(net: NuclearUnet, decoder: Mapping[str, torch.Tensor], adapters: Mapping[str, torch.Tensor]) -> None:
    """Put what was trained into ``net``, which has to have exactly that.

    Raises:
        DataError: naming the tensor that is missing, surplus, of another shape or not finite.
    """
    for wanted, given, where in ((net.decoder.state_dict(), decoder, DECODER), (net.encoder_state(), adapters, TUNED)):
        check_tensors(given, {name: tuple(value.shape) for name, value in wanted.items()}, where)
        with torch.no_grad():
            for name, value in wanted.items():  # they share the network's memory
                value.copy_(given[name])
