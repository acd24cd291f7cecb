"""The msi model artefact: ``config.json``, ``fold-<k>.safetensors`` and ``code/`` that serves them; no pickle, all by hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from pathology.artefact import BinaryConfig, LoadedModel, Part, Weights, misfit, pack_tensors, read_config, read_tensors
from pathology.tasks.msi.model import GatedAttention


class FoldWeights(Weights):
    """One model of the ensemble: its file, and how it did on the patients it had not seen."""

    fold: int
    epoch: int
    validation_loss: float


class OutOfFold(Part):
    """How the cross-validation ended: patients, positives, AUROC with its interval; epochs were chosen on the same patients."""

    patients: int
    positives: int
    auroc: float
    low: float
    high: float


def on_shared_scale(logits: np.ndarray, levels: np.ndarray, scales: np.ndarray, centre: float) -> np.ndarray:
    """``logits`` of models whose own lie about ``levels`` + ``centre`` and are ``scales`` times as wide as all models' together."""
    return np.asarray((logits - levels - centre) / scales + centre)


class Calibration(Part):
    """How the probability of the positive class is made of the folds' logits.

    Each is put on the scale that all share, (logit − level − centre) / scale + centre; the probability is that of ``intercept`` +
    ``slope`` · their mean, by Platt's scaling out of fold, its slope multiplied by ``averaging``. ``floored``: out of fold, the logits
    did not tell the classes apart, or the wrong way round; the slope is the least one, so that the order stays and probabilities
    say little.
    """

    levels: tuple[float, ...]
    scales: tuple[Annotated[float, Field(gt=0)], ...]
    centre: float
    slope: Annotated[float, Field(gt=0)]
    intercept: float
    averaging: Annotated[float, Field(ge=1)]
    floored: bool

    def align(self, logits: Sequence[float]) -> np.ndarray:
        """One patient's logits by the folds' models, (K,), on the shared scale."""
        return on_shared_scale(np.array(logits), np.array(self.levels), np.array(self.scales), self.centre)

    def probabilities(self, aligned: np.ndarray) -> np.ndarray:
        """Of the positive class, for logits on the shared scale."""
        return np.asarray(1 / (1 + np.exp(-(self.intercept + self.slope * aligned))))


class MsiConfig(BinaryConfig):
    """config.json. ``settings_hash`` and ``tiling`` are those of the features that it was trained on, and takes.

    ``calibration`` makes the ensemble's probability; None in artefacts of before, whose probability is the mean of the folds' own.
    """

    task: Literal["msi"] = "msi"
    settings_hash: str
    tiling: dict[str, str | int | float | bool]
    hidden_size: Annotated[int, Field(ge=1)]
    folds: Annotated[tuple[FoldWeights, ...], Field(min_length=1)]
    out_of_fold: OutOfFold
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Ensemble(LoadedModel[MsiConfig]):
    """A loaded ensemble, a model a fold."""

    models: tuple[GatedAttention, ...]

    def probabilities(self, logits: Sequence[float]) -> tuple[float, tuple[float, ...]]:
        """Of the positive class, the ensemble's and each fold's, from the folds' ``logits``."""
        calibration = self.config.calibration
        if calibration is None:
            folds = tuple((1 / (1 + np.exp(-np.array(logits)))).tolist())
            return float(np.mean(folds)), folds
        aligned = calibration.align(logits)
        of_all = calibration.probabilities(aligned.mean())
        return float(of_all), tuple(calibration.probabilities(aligned).tolist())


def fold_file(fold: int, epoch: int, validation_loss: float, weights: Mapping[str, Tensor]) -> tuple[FoldWeights, bytes]:
    """A fold's entry in the configuration, and its file."""
    sha256, content = pack_tensors(weights)
    file = f"fold-{fold}.safetensors"
    return FoldWeights(fold=fold, file=file, sha256=sha256, epoch=epoch, validation_loss=validation_loss), content


def load_ensemble(folder: Path) -> Ensemble:
    """Load an ensemble from its folder; unpack a ``model.tar.gz`` with :func:`pathology.unpacking.unpack` first.

    Raises:
        DataError: for a missing configuration or one of another version, or weights that are gone, changed or of another shape.
    """
    config, sha256 = read_config(folder, MsiConfig)
    return Ensemble(config, sha256, tuple(_model(folder, config, fold) for fold in config.folds))


def _model(folder: Path, config: MsiConfig, fold: FoldWeights) -> GatedAttention:
    weights = read_tensors(folder, fold.file, fold.sha256)
    model = GatedAttention(config.encoder.dimension, config.hidden_size, 0.0)
    try:
        model.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise misfit(fold.file, error) from None
    return model.eval().requires_grad_(False)


def tiling_attributes(attributes: Mapping[str, Any], grid: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    """What of a feature file's attributes says how tiles were cut: the same for every slide of one settings hash."""
    wanted = {
        "tile_mpp": attributes.get("tile_mpp"),
        "tile_size": grid.get("patch_size"),
        "arithmetic": attributes.get("arithmetic"),
    }
    return {name: value for name, value in wanted.items() if value is not None}
