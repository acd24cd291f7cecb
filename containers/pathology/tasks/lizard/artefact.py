"""The lizard model artefact: a decoder, the encoder's adapters where it has any, and the encoder's name by hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

import numpy as np
import torch
from pydantic import Field, model_validator

from pathology.artefact import (
    EncoderIdentity,
    LoadedModel,
    ModelConfig,
    Part,
    Weights,
    check_encoder,
    check_tensors,
    library_versions,
    pack_tensors,
    read_config,
    read_tensors,
    save_artefact,
)
from pathology.contracts.artefact import DRIFT_BASELINE, LEARNED_FROM
from pathology.contracts.code import Code, closure
from pathology.contracts.errors import RequestError
from pathology.contracts.history import LossCurve
from pathology.contracts.lizard.patches import Classes
from pathology.encoders.encoder import load_encoder
from pathology.nuclei.watershed import STANDARD, WatershedParams
from pathology.tasks.lizard.model import NuclearUnet
from pathology.tasks.lizard.prediction import Predictor

DECODER: Final = "decoder.safetensors"
ENCODER_WEIGHTS: Final = "encoder.safetensors"
SERVING = "pathology.tasks.lizard.serving"
"""By name: that module imports this one."""
SIDE, OVERLAP = 256, 64
"""px: windows are as large as the patches that are learnt from."""
MPP = 0.5
"""µm a px of Lizard's patches (20×), and of every picture that a model of ours is shown."""
LIBRARIES = ("lightning", "numpy", "peft", "safetensors", "scikit-image", "scipy", "timm", "torch")


class Watershed(Part):
    """The :class:`WatershedParams` that turns the network's maps into nuclei: lengths in px, areas in px²."""

    threshold: float
    smoothing: float
    smallest_marker: int
    smallest: int
    largest_hole: int

    @model_validator(mode="after")
    def _possible(self) -> Watershed:
        try:
            self.params()
        except RequestError as error:
            raise ValueError(str(error)) from None
        return self

    def params(self) -> WatershedParams:
        """As the watershed takes it."""
        return WatershedParams(**self.model_dump())


class Validation(Part):
    """How training ended on the validation patches, means over patches; ``epoch``, counted from 1, is where the weights are from."""

    patches: int
    loss: float
    iou: float
    dice: float
    pq: float
    epoch: int


class LizardConfig(ModelConfig):
    """config.json. ``classes`` name classes 1, 2, …; ``pixels`` is a window's side and ``overlap`` what neighbours share, in px.

    ``mean`` and ``std`` are the normalisation, ``mpp`` is µm a px; ``encoder_weights`` are the adapters, absent for ``frozen``, and
    ``rank`` theirs; ``width`` the decoder's channels at full resolution.
    """

    task: Literal["lizard"] = "lizard"
    classes: Classes
    pixels: Annotated[int, Field(ge=64, le=1024)]
    overlap: Annotated[int, Field(ge=4)]
    mpp: Annotated[float, Field(gt=0)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fine_tuning: Literal["frozen", "lora"]
    rank: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=4, le=256)]
    watershed: Watershed
    decoder: Weights
    encoder_weights: Weights | None
    validation: Validation

    @model_validator(mode="after")
    def _consistent(self) -> LizardConfig:
        if (self.encoder_weights is None) != (self.fine_tuning == "frozen"):
            file = self.encoder_weights and self.encoder_weights.file
            raise ValueError(f"encoder_weights: names {file}, and fine_tuning is {self.fine_tuning}")
        if self.overlap > self.pixels / 2:
            raise ValueError(f"overlap: {self.overlap} px is more than half of {self.pixels}")
        return self


@dataclass(frozen=True)
class LizardModel(LoadedModel[LizardConfig]):
    """A loaded model."""

    predictor: Predictor

    def labels(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8 → their nuclei in CoNIC's layout, (H, W, 2) uint16 each; see :class:`Predictor`."""
        return self.predictor.labels(images)


class NetworkSettings(Protocol):
    """What of the training's settings shapes the network; all are read only."""

    @property
    def rank(self) -> int: ...
    @property
    def width(self) -> int: ...
    def as_strings(self) -> dict[str, str]:
        """All of them, as the job received them."""


def save_lizard(
    folder: Path,
    net: NuclearUnet,
    *,
    classes: Sequence[str],
    settings: NetworkSettings,
    validation: Validation,
    inputs: Mapping[str, str],
    learned_from: tuple[str, bytes],
    drift_baseline: tuple[str, bytes] | None = None,
    code: Code,
    training_code: str | None = None,
    curve: LossCurve | None = None,
    watershed: WatershedParams = STANDARD,
) -> None:
    """Write ``net`` as trained, adapters not merged, to ``folder``; same content, same bytes.

    ``code`` is what the endpoint runs on (:func:`pathology.serving.code.endpoint_code`); ``inputs`` are the sha256 of what was
    learnt from, by name, and ``learned_from`` the list of it as :meth:`pathology.learned_from.LearnedFrom.pack` gives it;
    ``drift_baseline`` are its statistics as :func:`pathology.training.drift.pack` gives them;
    ``training_code`` is the hash of the job's code and ``curve`` its losses by epoch.
    """
    manifest = net.manifest
    decoder_hash, decoder = pack_tensors(net.decoder.state_dict())
    learned_from_hash, learned_from_content = learned_from
    files, encoder_weights = {DECODER: decoder, LEARNED_FROM: learned_from_content}, None
    if drift_baseline:
        files[DRIFT_BASELINE] = drift_baseline[1]
    if adapters := net.encoder_state():
        adapters_hash, files[ENCODER_WEIGHTS] = pack_tensors(adapters)
        encoder_weights = Weights(file=ENCODER_WEIGHTS, sha256=adapters_hash)
    config = LizardConfig(
        classes=tuple(classes),
        pixels=SIDE,
        overlap=OVERLAP,
        mpp=MPP,
        mean=manifest.mean,
        std=manifest.std,
        encoder=EncoderIdentity.of(manifest),
        fine_tuning=net.fine_tuning,
        rank=settings.rank,
        width=settings.width,
        watershed=Watershed(**asdict(watershed)),
        decoder=Weights(file=DECODER, sha256=decoder_hash),
        encoder_weights=encoder_weights,
        validation=validation,
        training=settings.as_strings(),
        inputs=dict(inputs),
        learned_from=learned_from_hash,
        drift_baseline=drift_baseline and drift_baseline[0],
        serving_code=closure(SERVING).hash,
        versions=library_versions(*LIBRARIES),
        training_code=training_code,
        curves=(curve,) if curve else (),
    )
    save_artefact(folder, config, files, code, SERVING)


def load_lizard(folder: Path, encoder: Path, device: str | torch.device = "cpu") -> LizardModel:
    """Load a model from its unpacked folder and the folder of the encoder it names; half precision on a GPU, float32 on a CPU.

    Raises:
        DataError: for a missing configuration or one of another version, weights that are gone, changed or misshapen, or another encoder.
    """
    config, sha256 = read_config(folder, LizardConfig)
    decoder = read_tensors(folder, config.decoder.file, config.decoder.sha256)
    adapters = read_tensors(folder, config.encoder_weights.file, config.encoder_weights.sha256) if config.encoder_weights else {}
    base = load_encoder(encoder)
    check_encoder(config.encoder, {"mean": config.mean, "std": config.std}, base.manifest)
    net = NuclearUnet(base, len(config.classes), config.width, config.fine_tuning, config.rank)
    restore(net, decoder, adapters)
    predictor = Predictor(net.for_serving(), torch.device(device), config.watershed.params(), config.pixels, config.overlap)
    return LizardModel(config, sha256, predictor)


def restore(net: NuclearUnet, decoder: Mapping[str, torch.Tensor], adapters: Mapping[str, torch.Tensor]) -> None:
    """Put what was trained into ``net``, which has to have exactly that.

    Raises:
        DataError: naming the tensor that is missing, surplus, of another shape or not finite.
    """
    for wanted, given, where in ((net.decoder.state_dict(), decoder, DECODER), (net.encoder_state(), adapters, ENCODER_WEIGHTS)):
        check_tensors(given, {name: tuple(value.shape) for name, value in wanted.items()}, where)
        with torch.no_grad():
            for name, value in wanted.items():  # they share the network's memory
                value.copy_(given[name])
