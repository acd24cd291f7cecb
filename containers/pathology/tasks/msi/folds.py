"""What cross-validation keeps of its folds, and the one epoch that all their models are from.

It is the epoch with the least loss over all held-out patients: one choice of one number by all of them, which their scores hardly show.
A choice by each fold's own patients would flatter their scores and set the models' scales apart: docs/statistics.md has both.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pathology.contracts.errors import DataError
from pathology.contracts.hashes import sha256_of
from pathology.contracts.history import LossCurve
from pathology.contracts.storage import atomic_write

LOGITS, LOSSES, TRAINING_LOSSES = "held-out.logits", "held-out.losses", "training.losses"
"""Names of a checkpoint's tensors beside those of the model, which have no hyphen."""


@dataclass(frozen=True)
class FoldRun:
    """A finished fold, all its epochs: ``weights`` by name, each (E, …); of the n patients that it held out, ``logits`` (E, n) float64
    at the training cohort's prevalence and ``losses`` (E, n) float64; mean ``training_losses`` (E,) float64."""

    fold: int
    weights: dict[str, Tensor]
    logits: Tensor
    losses: Tensor
    training_losses: Tensor

    @property
    def epochs(self) -> int:
        """How many were run."""
        return len(self.losses)

    def model(self, epoch: int) -> FoldModel:
        """The fold's model at ``epoch``, from 1."""
        validation = self.losses.mean(dim=1)
        losses = zip(self.training_losses.tolist(), validation.tolist(), strict=True)
        return FoldModel(
            fold=self.fold,
            weights={name: value[epoch - 1].clone() for name, value in self.weights.items()},
            epoch=epoch,
            validation_loss=float(validation[epoch - 1]),
            held_out=self.logits[epoch - 1].numpy(),
            curve=LossCurve.of(f"fold {self.fold}", epoch, losses),
        )


@dataclass(frozen=True)
class FoldModel:
    """A fold's weights at ``epoch`` (from 1); of the n patients it has not seen the loss there and the logits ``held_out`` (n,) float64;
    all epochs' losses."""

    fold: int
    weights: dict[str, Tensor]
    epoch: int
    validation_loss: float
    held_out: np.ndarray
    curve: LossCurve


def common_epoch(runs: Sequence[FoldRun]) -> int:
    """The epoch, from 1, with the least loss over the held-out patients of all ``runs``, among those that every one has reached.

    Raises:
        DataError: when that loss is a number at none of them.
    """
    reached = min(run.epochs for run in runs)
    total = sum(run.losses[:reached].sum(dim=1) for run in runs)
    assert isinstance(total, Tensor)
    finite = torch.where(total.isfinite(), total, math.inf)
    if not finite.isfinite().any():
        raise DataError(f"the validation loss was a number at none of {reached} epochs: lower the learning rate")
    return int(finite.argmin()) + 1


def write_checkpoint(folder: Path, run: FoldRun) -> None:
    """Keep a finished fold in ``folder``, whole or not at all, in a file named by its sha256: two jobs of one key may write there."""
    tensors = {**run.weights, LOGITS: run.logits, LOSSES: run.losses, TRAINING_LOSSES: run.training_losses}
    content = save({name: value.contiguous() for name, value in tensors.items()})
    atomic_write(folder / f"fold-{run.fold}-{hashlib.sha256(content).hexdigest()}.safetensors", content)


def read_checkpoint(folder: Path, fold: int) -> FoldRun | None:
    """A finished fold in ``folder``, or None when there is none that can be read; what cannot be is said and left there."""
    for path in sorted(folder.glob(f"fold-{fold}-*.safetensors")):
        try:
            if sha256_of(path) != path.stem.rpartition("-")[2]:
                raise ValueError("its content has another sha256 than its name")
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            logits, losses, training_losses = (tensors.pop(name) for name in (LOGITS, LOSSES, TRAINING_LOSSES))
            run = FoldRun(fold, tensors, logits, losses, training_losses)
            run.model(run.epochs)
        except (SafetensorError, OSError, KeyError, ValueError, IndexError, ValidationError) as error:
            print(f"fold {fold}: its checkpoint {path.name} cannot be read ({error}) and is recomputed")
            continue
        print(f"fold {fold}: finished before the restart")
        return run
    return None
