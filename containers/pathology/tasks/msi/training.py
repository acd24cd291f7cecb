"""Cross-validated training of attention MIL with Lightning: one model a fold, each kept at its best validation loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset

from pathology.contracts.errors import DataError
from pathology.contracts.history import LossCurve
from pathology.contracts.log_lines import TRAINING_LOSS, VALIDATION_ACCURACY, VALIDATION_AUROC, VALIDATION_LOSS, metric_line
from pathology.contracts.msi.train import TrainMsi
from pathology.contracts.storage import atomic_write
from pathology.metrics.ranking import auroc
from pathology.tasks.msi.dataset import Bags
from pathology.tasks.msi.model import GatedAttention, cpu_threads
from pathology.training.lightning_logs import silence_lightning

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class FoldModel:
    """A fold's trained weights, its best epoch (from 1), the loss there of the patients it has not seen, and all epochs' losses."""

    fold: int
    weights: dict[str, Tensor]
    epoch: int
    validation_loss: float
    curve: LossCurve | None = None


@dataclass(frozen=True)
class CrossValidated:
    """One model a fold, and for every patient of the bags, in their order, the probability by the model not trained on it.

    A fold's best epoch is chosen on the very patients that ``out_of_fold`` scores; the test set is in no choice.
    """

    models: tuple[FoldModel, ...]
    out_of_fold: np.ndarray


class BagBatches(Dataset[Batch]):
    """Batches of bags in a given order: tiles (B, N, D) float16 padded with zeros, mask (B, N), labels (B,) float32."""

    def __init__(self, bags: Bags, order: Sequence[int], batch_size: int, max_tiles: int, seed: Sequence[int]) -> None:
        self.bags, self.max_tiles, self.seed = bags, max_tiles, tuple(seed)
        self.batches = [list(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch:
        chosen = self.batches[number]
        tiles_of = [self.bags.draw(index, self.max_tiles, self.seed) for index in chosen]
        max_tiles = max(len(bag) for bag in tiles_of)
        tiles = np.zeros((len(tiles_of), max_tiles, tiles_of[0].shape[1]), dtype=np.float16)
        mask = np.zeros((len(tiles_of), max_tiles), dtype=bool)
        for row, bag in enumerate(tiles_of):
            tiles[row, : len(bag)] = bag
            mask[row, : len(bag)] = True
        labels = self.bags.labels[chosen].astype(np.float32)
        return torch.from_numpy(tiles), torch.from_numpy(mask), torch.from_numpy(labels)


class FoldTraining(lightning.LightningModule):
    """Trains one model on ``train`` and watches ``validation``, both indices of bags; ``best`` is what it ends with."""

    def __init__(self, bags: Bags, train: np.ndarray, validation: np.ndarray, fold: int, settings: TrainMsi) -> None:
        super().__init__()
        self.bags, self.train_indices, self.validation_indices = bags, train, validation
        self.fold, self.settings = fold, settings
        self.model = GatedAttention(bags.encoder.dimension, settings.hidden_size, settings.dropout)
        mean, std = bags.moments(train)
        labels = bags.labels[train]
        self.model.mean.copy_(torch.from_numpy(mean))
        self.model.std.copy_(torch.from_numpy(std))
        self.model.prior.fill_(float(np.log((labels == 0).sum() / (labels == 1).sum())))
        self.best: FoldModel | None = None
        self.history: list[tuple[float, float]] = []
        self._validation_loss = math.nan
        self._losses: list[tuple[float, int]] = []
        self._validated: list[tuple[Tensor, Tensor]] = []
        self._lines: list[str] = []

    def train_dataloader(self) -> DataLoader[Batch]:
        """A new order and new tiles every epoch, from seed, fold and epoch alone."""
        seed = (self.settings.seed, self.fold, self.current_epoch)
        order = np.random.default_rng(seed).permutation(self.train_indices).tolist()
        return _loader(BagBatches(self.bags, order, self.settings.batch_size, self.settings.max_tiles, seed))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Whole bags one by one, as in serving."""
        return _loader(BagBatches(self.bags, self.validation_indices.tolist(), 1, 0, (0,)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW (Loshchilov & Hutter 2019) at a constant rate."""
        return torch.optim.AdamW(self.parameters(), self.settings.learning_rate, weight_decay=self.settings.weight_decay)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(logits, labels, pos_weight=self.model.prior.exp())

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Cross-entropy with both classes weighing the same."""
        tiles, mask, labels = batch
        loss = self._loss(self.model(tiles, mask), labels)
        self._losses.append((float(loss.detach()), len(labels)))
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collect logits; they are scored together."""
        tiles, mask, labels = batch
        self._validated.append((self.model(tiles, mask), labels))

    def on_validation_epoch_end(self) -> None:
        """Score the epoch and keep the weights when they are the best yet."""
        logits = torch.cat([logits for logits, _ in self._validated])
        labels = torch.cat([labels for _, labels in self._validated])
        self._validated.clear()
        self._validation_loss = loss = float(self._loss(logits, labels))
        self.log("validation_loss", loss)
        accuracy = float(((logits > 0) == (labels > 0)).float().mean())
        self._lines = [metric_line(VALIDATION_LOSS, loss), metric_line(VALIDATION_ACCURACY, accuracy)]
        truth = labels.cpu().numpy()
        if 0 < truth.sum() < len(truth):  # one class alone has no AUROC
            self._lines.append(metric_line(VALIDATION_AUROC, auroc(truth, logits.float().cpu().numpy())))
        if self.best is None or loss < self.best.validation_loss:
            weights = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}
            self.best = FoldModel(self.fold, weights, self.current_epoch + 1, loss)

    def on_train_epoch_end(self) -> None:
        """Print the epoch's lines, the training loss first, and note its losses."""
        total = sum(loss * count for loss, count in self._losses)
        training_loss = total / sum(count for _, count in self._losses)
        self.history.append((training_loss, self._validation_loss))
        print(metric_line(TRAINING_LOSS, training_loss))
        print("\n".join(self._lines))
        self._losses.clear()


def _loader(batches: BagBatches) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None, shuffle=False)


def cross_validate(bags: Bags, settings: TrainMsi, checkpoints: Path, scratch: Path) -> CrossValidated:
    """Train one model a fold on the other folds' patients.

    Finished folds lie in ``checkpoints`` and are taken from there after a restart; the caller names the folder by all that
    decides their content.

    Raises:
        DataError: when a fold has no patient with features, or the rest lacks a class.
    """
    folds = np.array([patient.fold for patient in bags.patients])
    out_of_fold = np.zeros(len(bags))
    models = []
    for fold in _checked_folds(folds, bags.labels):
        train, validation = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        print(f"fold {fold}: {len(train)} patients train ({bags.labels[train].sum()} positive), {len(validation)} validate")
        path = checkpoints / f"fold-{fold}.safetensors"
        trained = read_checkpoint(path, fold)
        if trained is None:
            trained = train_fold(bags, train, validation, fold, settings, scratch)
            write_checkpoint(path, trained)
        print(f"fold {fold}: best at epoch {trained.epoch}, validation loss {trained.validation_loss:.4f}")
        model = build(trained.weights, settings)
        for index in validation:
            out_of_fold[index] = model.probability(torch.from_numpy(bags.load(int(index))))
        models.append(trained)
    return CrossValidated(tuple(models), out_of_fold)


def step_work(bags: Bags, settings: TrainMsi) -> float:
    """Multiply-adds of the first projection, the largest part of a step, on bags of the median size."""
    tiles = float(np.median([sum(slide.tiles or 0 for slide in patient.slides) for patient in bags.patients]))
    per_bag = min(tiles, settings.max_tiles or tiles)
    return per_bag * settings.batch_size * bags.encoder.dimension * settings.hidden_size


def _checked_folds(folds: np.ndarray, labels: np.ndarray) -> list[int]:
    numbers = sorted(set(folds.tolist()))
    if len(numbers) < 2:
        raise DataError(
            f"{len(numbers)} fold has patients with features, training needs two: extract more of the cohort's slides"
        )
    for fold in numbers:
        if len(set(labels[folds != fold].tolist())) < 2:
            raise DataError(f"without fold {fold} one class has no patient with features: add patients, or prepare fewer folds")
    return numbers


def build(weights: dict[str, Tensor], settings: TrainMsi) -> GatedAttention:
    """The model with a fold's weights, ready to predict."""
    model = GatedAttention(len(weights["mean"]), settings.hidden_size, settings.dropout)
    model.load_state_dict(weights, strict=True)
    return model.eval()


def train_fold(bags: Bags, train: np.ndarray, validation: np.ndarray, fold: int, settings: TrainMsi, scratch: Path) -> FoldModel:
    """Train until the validation loss has not improved for ``patience`` epochs."""
    silence_lightning()
    lightning.seed_everything(settings.seed + fold, verbose=False)
    training = FoldTraining(bags, train, validation, fold, settings)
    trainer = lightning.Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=1,
        max_epochs=settings.epochs,
        deterministic=True,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        callbacks=[EarlyStopping("validation_loss", patience=settings.patience)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=scratch,
    )
    with cpu_threads(step_work(bags, settings)):
        trainer.fit(training)
    if training.best is None:
        raise DataError(f"fold {fold}: the validation loss was never a number: lower the learning rate")
    return replace(training.best, curve=LossCurve.of(f"fold {fold}", training.best.epoch, training.history))


def write_checkpoint(path: Path, model: FoldModel) -> None:
    """Keep a finished fold, whole or not at all."""
    metadata = {"epoch": str(model.epoch), "validation_loss": repr(model.validation_loss)}
    if model.curve is not None:
        metadata["curve"] = model.curve.model_dump_json()
    atomic_write(path, save({name: value.contiguous() for name, value in model.weights.items()}, metadata))


def read_checkpoint(path: Path, fold: int) -> FoldModel | None:
    """A finished fold, or None when there is none that can be read."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        curve = LossCurve.model_validate_json(metadata["curve"])
        model = FoldModel(fold, weights, int(metadata["epoch"]), float(metadata["validation_loss"]), curve)
    except (SafetensorError, KeyError, ValueError) as error:
        print(f"fold {fold}: its checkpoint cannot be read ({error}) and is recomputed")
        return None
    print(f"fold {fold}: finished before the restart")
    return model
