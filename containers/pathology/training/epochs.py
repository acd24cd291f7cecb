"""Training by epochs with Lightning for any task: one process or many, resumed exactly at the end of an epoch."""

from __future__ import annotations

import math
import os
import signal
import time
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import lightning.pytorch as lightning
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pathology.artefact import pack_tensors
from pathology.contracts.errors import DataError
from pathology.contracts.history import LossCurve
from pathology.contracts.log_lines import TRAINING_LOSS, VALIDATION_LOSS, epoch_line, metric_line
from pathology.contracts.storage import atomic_copy, atomic_write
from pathology.host import cores
from pathology.training.batches import Batch, BatchSettings, Examples, MicroBatch, TrainingBatches, ValidationBatches, loader
from pathology.training.checkpoints import AtomicCheckpointIO, Best, EpochCheckpoint, Stopping, own_folder, take_up
from pathology.training.lightning_logs import silence_lightning
from pathology.training.precision import training_precision

PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
CLIP = 1.0
"""Largest norm of a step's gradient, as ViTs are trained (Dosovitskiy et al. 2021)."""
VALIDATION_BATCH = 16
"""Patches of a validation step at least: without gradients there is room."""
LAST_WORDS_SECONDS = 5.0
"""How long a process whose connection broke leaves the one that broke it to say why."""


class EpochSettings(BatchSettings, Protocol):
    """What every such training is told; all are read only. See the settings of the tasks for what they mean."""

    @property
    def epochs(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def encoder_learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def warm_up(self) -> float: ...
    @property
    def patience(self) -> int: ...
    @property
    def precision(self) -> Literal["auto", "float32", "float16", "bfloat16"]: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class World:
    """This process among all of the job's, as torchrun says; alone without it."""

    rank: int
    size: int
    local_size: int

    @classmethod
    def current(cls) -> World:
        """Read RANK, WORLD_SIZE and LOCAL_WORLD_SIZE."""
        rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        return cls(rank, size, int(os.environ.get("LOCAL_WORLD_SIZE", size)))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around what all processes do together: where one fails, its words are the job's, and not that a connection broke.

        torchrun ends the others of a host at once, so that those on it say nothing more; those of other hosts wait a little.

        Raises:
            DataError: in a process that lost another.
        """
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not (isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()):
                raise
            time.sleep(LAST_WORDS_SECONDS)
            raise DataError(f"process {self.rank} of {self.size} lost another one: see the log of the host that ended") from error

    def workers(self, device: torch.device) -> int:
        """Processes that read ahead for this one: beside a GPU its part of the host's cores; none on a CPU, which is busy."""
        return min(8, max(1, cores() // self.local_size)) if device.type == "cuda" else 0


class EpochTraining(lightning.LightningModule):
    """Trains on ``train`` and watches ``validation``; the best epoch's trained weights lie in this job's part of ``folder``.

    A task says what is trained and how it is scored: :meth:`parts`, :meth:`trained`, ``training_step`` (which returns
    :meth:`weighted_loss`), ``validation_step`` and ``on_validation_epoch_end`` (which ends in :meth:`end_validation`).
    """

    def __init__(
        self, train: Examples, validation: Examples, settings: EpochSettings, world: World, folder: Path, workers: int
    ) -> None:
        super().__init__()
        self.strict_loading = False  # checkpoints hold what is trained, not the encoder around it
        self.train_data, self.validation_data = train, validation
        self.settings, self.world, self.workers = settings, world, workers
        self.shared, self.folder = folder, own_folder(folder)
        self.taken_up: Path | None = None
        self.micro_batch = MicroBatch.of(settings, world.rank, world.size)
        self.best: Best | None = None
        self.history: list[tuple[float, float]] = []
        self._losses: list[tuple[Tensor, Tensor]] = []
        self._validation_loss = math.nan
        self._lines: list[str] = []

    @abstractmethod
    def parts(self) -> tuple[nn.Module, nn.Module]:
        """What starts from nothing, trained at ``learning_rate``, and the encoder, at its own rate."""

    @abstractmethod
    def trained(self) -> dict[str, Tensor]:
        """What training changes, by name."""

    def on_train_start(self) -> None:
        """Start from the same epoch everywhere, and die at once when told to.

        Lightning's handler of SIGTERM talks to the other processes from within a step, which can hang all of them; nothing is
        lost without it, since checkpoints are whole at any time.

        Raises:
            DataError: when processes took up different checkpoints.
        """
        if self.world.size == 1:
            return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        whose = zlib.crc32(self.taken_up.parent.name.encode()) % 2**24 if self.taken_up else 0  # float32 holds it exactly
        starts = self._everyone(torch.tensor([float(self.current_epoch), float(whose)], device=self.device)).tolist()
        if any(start != starts[0] for start in starts):
            epochs = [start[0] for start in starts]
            raise DataError(
                f"processes start after epochs {epochs}: their checkpoints are not the same; remove {self.shared.name}, or start again"
            )

    def train_dataloader(self) -> DataLoader[Batch]:
        """The epoch's order and augmentation come from seed, epoch and the patch's number alone."""
        return loader(TrainingBatches(self.train_data, self.micro_batch, self.settings.seed, self.current_epoch), self.workers)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Patches as they are."""
        size = max(self.micro_batch.size, VALIDATION_BATCH)
        return loader(ValidationBatches(self.validation_data, self.world.rank, self.world.size, size), self.workers)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW (Loshchilov & Hutter 2019): two rates, no decay on biases, norms and tokens; warm-up, then a cosine to 0."""
        settings, groups = self.settings, []
        for rate, part in zip((settings.learning_rate, settings.encoder_learning_rate), self.parts(), strict=True):
            values = [value for value in part.parameters() if value.requires_grad]
            for decay, chosen in (
                (settings.weight_decay, [value for value in values if value.ndim in (2, 4)]),
                (0.0, [value for value in values if value.ndim not in (2, 4)]),
            ):
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
        optimizer = torch.optim.AdamW([group for group in groups if group["params"]])
        steps = settings.epochs * self.micro_batch.steps(len(self.train_data))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, steps, settings.warm_up))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def weighted_loss(self, losses: Tensor, weights: Tensor) -> Tensor:
        """The step's loss of this process's part, out of the ``losses`` (B,) of its patches, which count for the epoch's mean.

        The ``weights`` (B,) make it the mean over the step's patches on all processes.
        """
        real = (weights > 0).float()
        self._losses.append(((losses.detach() * real).sum(), real.sum()))
        return (losses * weights).sum()

    def all_gathered(self, mine: Tensor) -> Tensor:
        """This process's validation patches (columns, n), the last column their weights → those of all that count, without it."""
        columns = self._everyone(mine).movedim(-2, 0).reshape(len(mine), -1)
        return columns[:-1, columns[-1] > 0]

    def end_validation(self, loss: float, lines: list[str]) -> None:
        """Note an epoch's validation ``loss`` and further ``lines`` of the log, and keep the weights when they are the best yet."""
        self.log("validation_loss", torch.tensor(loss, dtype=torch.float64), rank_zero_only=False)
        self._validation_loss = loss
        self._lines = [metric_line(VALIDATION_LOSS, loss), *lines]
        if math.isfinite(loss) and (self.best is None or loss < self.best.validation_loss):
            sha256, content = pack_tensors(self.trained()) if self.world.rank == 0 else ("", b"")
            self.best = Best(self.current_epoch + 1, loss, sha256, 1 - self.best.slot if self.best else 0)
            if self.world.rank == 0:
                atomic_write(self.best.file(self.folder), content)

    def _everyone(self, value: Tensor) -> Tensor:
        """``value`` of every process, (world, …)."""
        values: Tensor = self.all_gather(value)  # type: ignore[assignment]
        return values.reshape(self.world.size, *value.shape)

    def on_train_epoch_end(self) -> None:
        """Print the epoch's lines, the training loss first, and note its losses."""
        mine = torch.stack([torch.stack(pair) for pair in self._losses]).double().sum(0)
        self._losses.clear()
        total, count = self._everyone(mine).sum(0).tolist()
        self.history.append((total / count, self._validation_loss))
        if self.world.rank == 0:
            epoch = epoch_line(self.current_epoch + 1, self.settings.epochs)
            print("\n".join([epoch, metric_line(TRAINING_LOSS, total / count), *self._lines]), flush=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave the frozen encoder out."""
        names = {name for name, value in self.named_parameters() if value.requires_grad}
        checkpoint["state_dict"] = {name: value for name, value in checkpoint["state_dict"].items() if name in names}
        checkpoint["best"] = (
            None if self.best is None else (self.best.epoch, self.best.validation_loss, self.best.sha256, self.best.slot)
        )
        checkpoint["history"] = list(self.history)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the best epoch and the losses so far."""
        self.history = list(checkpoint["history"])
        self.best = None if checkpoint["best"] is None else Best(*checkpoint["best"])


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """The fraction of the learning rate at ``step`` of ``steps``: up a line for ``warm_up`` of them, then down half a cosine to 0."""
    rising = round(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))


def fit(training: EpochTraining) -> Best:
    """Train, taking up what lies in the training's folder; its best epoch, and all losses. All processes of torchrun call this.

    Raises:
        RequestError: for a precision that the GPU has not.
        DataError: when the validation loss was never a number.
    """
    silence_lightning()
    trainer = _trainer(training.settings, training.world, training.folder)
    if training.world.rank == 0:
        training.folder.mkdir(parents=True, exist_ok=True)
    training.taken_up = take_up(training.shared)
    if training.world.rank == 0 and training.taken_up and training.taken_up.parent != training.folder:
        for path in training.taken_up.parent.glob("best-*.safetensors"):
            atomic_copy(path, training.folder / path.name)
    with training.world.together():
        trainer.fit(training, ckpt_path=training.taken_up)
    if training.best is None:
        raise DataError("the validation loss was never a number: lower the learning rates")
    return replace(training.best, curve=LossCurve.of("", training.best.epoch, training.history))


def _trainer(settings: EpochSettings, world: World, folder: Path) -> lightning.Trainer:
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    strategy: Any = DDPStrategy(process_group_backend="nccl" if cuda else "gloo") if world.size > 1 else "auto"
    return lightning.Trainer(
        accelerator="gpu" if cuda else "cpu",
        devices=world.local_size if world.size > 1 else 1,
        num_nodes=world.size // world.local_size,
        strategy=strategy,
        precision=PRECISIONS[training_precision(device, settings.precision)],  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        accumulate_grad_batches=settings.accumulation,
        gradient_clip_val=CLIP,
        deterministic="warn" if cuda else True,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        callbacks=[Stopping("validation_loss", patience=settings.patience), EpochCheckpoint(folder)],
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
