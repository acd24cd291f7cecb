"""Cross-validated training of attention MIL with Lightning: one model a fold, all from one epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset

from pathology.contracts.errors import DataError
from pathology.contracts.log_lines import (
    TRAINING_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_AUROC,
    VALIDATION_LOSS,
    epoch_line,
    fold_line,
    metric_line,
)
from pathology.contracts.msi.train import TrainMsi
from pathology.metrics.ranking import auroc
from pathology.tasks.msi.calibration import logits_of_learnt
from pathology.tasks.msi.dataset import Bags
from pathology.tasks.msi.folds import FoldModel, FoldRun, common_epoch, read_checkpoint, write_checkpoint
from pathology.tasks.msi.model import GatedAttention, cpu_threads
from pathology.training.lightning_logs import silence_lightning

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class CrossValidated:
    """One model a fold, all from one epoch, and for every patient of the bags, in their order, the logit (n,) float64 by the model of
    its fold in ``folds`` (n,). The test set is in no choice.

    ``learnt`` (n, K) are their logits by the models that have learnt from them, NaN by the other.
    """

    models: tuple[FoldModel, ...]
    out_of_fold: np.ndarray
    folds: np.ndarray
    learnt: np.ndarray


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
    """Trains one model on ``train`` and watches ``validation``, both indices of bags; :meth:`run` is what it ends with."""

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
        self._weights: list[dict[str, Tensor]] = []
        self._logits: list[Tensor] = []
        self._held_out_losses: list[Tensor] = []
        self._training_losses: list[float] = []
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

    def _losses_of(self, logits: Tensor, labels: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(logits, labels, pos_weight=self.model.prior.exp(), reduction="none")

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Cross-entropy with both classes weighing the same."""
        tiles, mask, labels = batch
        loss = self._losses_of(self.model(tiles, mask), labels).mean()
        self._losses.append((float(loss.detach()), len(labels)))
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collect logits; they are scored together."""
        tiles, mask, labels = batch
        self._validated.append((self.model(tiles, mask), labels))

    def on_validation_epoch_end(self) -> None:
        """Score the epoch and keep it, weights and all: which one is taken is known when all folds have ended."""
        logits = torch.cat([logits for logits, _ in self._validated])
        labels = torch.cat([labels for _, labels in self._validated])
        self._validated.clear()
        losses = self._losses_of(logits, labels)
        loss = float(losses.mean())
        self.log("validation_loss", loss)
        accuracy = float(((logits > 0) == (labels > 0)).float().mean())
        self._lines = [metric_line(VALIDATION_LOSS, loss), metric_line(VALIDATION_ACCURACY, accuracy)]
        truth = labels.cpu().numpy()
        if 0 < truth.sum() < len(truth):  # one class alone has no AUROC
            self._lines.append(metric_line(VALIDATION_AUROC, auroc(truth, logits.float().cpu().numpy())))
        self._weights.append({name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()})
        self._logits.append((logits.double() - self.model.prior.double()).cpu())
        self._held_out_losses.append(losses.double().cpu())

    def on_train_epoch_end(self) -> None:
        """Print the epoch's lines, the training loss first, and note its losses."""
        total = sum(loss * count for loss, count in self._losses)
        training_loss = total / sum(count for _, count in self._losses)
        self._training_losses.append(training_loss)
        lines = (
            epoch_line(self.current_epoch + 1, self.settings.epochs),
            metric_line(TRAINING_LOSS, training_loss),
            *self._lines,
        )
        print("\n".join(lines))
        self._losses.clear()

    def run(self) -> FoldRun:
        """All epochs that were run."""
        return FoldRun(
            fold=self.fold,
            weights={name: torch.stack([weights[name] for weights in self._weights]) for name in self._weights[0]},
            logits=torch.stack(self._logits),
            losses=torch.stack(self._held_out_losses),
            training_losses=torch.tensor(self._training_losses, dtype=torch.float64),
        )


def _loader(batches: BagBatches) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None, shuffle=False)


def cross_validate(bags: Bags, settings: TrainMsi, checkpoints: Path, scratch: Path) -> CrossValidated:
    """Train one model a fold on the other folds' patients.

    Finished folds lie in ``checkpoints`` and are taken from there after a restart; the caller names the folder by all that
    decides their content.

    Raises:
        DataError: when a fold has no patient with features, the rest lacks a class, or no loss was a number.
    """
    folds = np.array([patient.fold for patient in bags.patients])
    numbers = _checked_folds(folds, bags.labels)
    runs = []
    for number, fold in enumerate(numbers, 1):
        print(fold_line(number, len(numbers)))
        train, validation = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        print(f"fold {fold}: {len(train)} patients train ({bags.labels[train].sum()} positive), {len(validation)} validate")
        run = read_checkpoint(checkpoints, fold)
        if run is None:
            run = train_fold(bags, train, validation, fold, settings, scratch)
            write_checkpoint(checkpoints, run)
        runs.append(run)
    models = tuple(run.model(common_epoch(runs)) for run in runs)
    for model, run in zip(models, runs, strict=True):
        print(f"fold {model.fold}: epoch {model.epoch} of {run.epochs}, validation loss {model.validation_loss:.4f}")
    logits = np.zeros(len(bags))
    for model in models:
        logits[folds == model.fold] = model.held_out
    with cpu_threads(step_work(bags, settings)):
        learnt = logits_of_learnt(bags, [build(model.weights, settings) for model in models], folds)
    return CrossValidated(models, logits, folds, learnt)


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


def train_fold(bags: Bags, train: np.ndarray, validation: np.ndarray, fold: int, settings: TrainMsi, scratch: Path) -> FoldRun:
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
    return training.run()
