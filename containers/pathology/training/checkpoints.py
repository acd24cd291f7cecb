"""Lightning's checkpoints on our terms: one file at the end of an epoch, whole or not there, read without running anything."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from safetensors.torch import load_file
from torch import Tensor

from pathology.contracts.code import command_code
from pathology.contracts.hashes import sha256_of
from pathology.contracts.history import LossCurve
from pathology.contracts.settings import Settings
from pathology.contracts.storage import temp_sibling

LAST = "last.ckpt"
JOB_NAME = "TRAINING_JOB_NAME"
UNREADABLE = (
    *(zipfile.BadZipFile, pickle.UnpicklingError, OSError, RuntimeError, NotImplementedError),
    *(EOFError, ValueError, KeyError, TypeError, IndexError),
)
"""What reading a damaged or foreign file ends in."""


def checkpoint_key(command: str, settings: Settings, inputs: Mapping[str, str], encoder: str, processes: int = 1) -> str:
    """16 hexadecimal digits that name all that decides the weights, so that a checkpoint of anything else is never taken up.

    ``inputs`` are what is learnt from, by sha256, and ``encoder`` is its checkpoint's.
    """
    parts = {
        "settings": settings.as_strings(),
        "inputs": dict(inputs),
        "encoder": encoder,
        "processes": processes,
        "code": command_code(command).hash,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Best:
    """The best epoch yet, counted from 1, its validation loss and the sha256 of its file, which is one of two by ``slot``; once
    trained, the losses of all epochs."""

    epoch: int
    validation_loss: float
    sha256: str
    slot: int
    curve: LossCurve | None = None

    def file(self, folder: Path) -> Path:
        """Where its weights lie."""
        return folder / f"best-{self.slot}.safetensors"

    def parts(self, folder: Path, *names: str) -> list[dict[str, Tensor]]:
        """Its weights apart: those called ``<name>.…``, without that, for each of ``names``."""
        weights = load_file(self.file(folder))
        return [
            {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}
            for name in names
        ]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside, flushes, renames; a killed process leaves the epoch before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to ``path``."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = temp_sibling(target)
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read tensors and plain values, never code."""
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return content


class EpochCheckpoint(Checkpoint):
    """Keeps the last finished epoch.

    A ``Checkpoint`` to Lightning, so that its turn comes after early stopping has counted the epoch.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Save. Of the best epochs' files two take turns, so that nothing has to be removed, which the service may not mirror."""
        trainer.save_checkpoint(self.folder / LAST)


class Stopping(EarlyStopping):
    """Early stopping that a restart after its last epoch does not undo."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop at once when patience was at its end."""
        super().on_train_start(trainer, pl_module)
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def own_folder(folder: Path) -> Path:
    """Where this job writes below ``folder``, which is named by the key: two jobs of one key must not write the same files.

    A job that starts again after an interruption has its old name. Outside a job it is ``folder`` itself.
    """
    return folder / os.environ.get(JOB_NAME, "")


def take_up(folder: Path) -> Path | None:
    """The checkpoint below ``folder`` that a training resumes from: this job's, else that of another job with the same key that
    got furthest. None where none holds; what does not is said on the log, and left there."""
    own = own_folder(folder) / LAST
    if own.is_file() and (checked := usable(own)):
        return checked
    others = [path for path in (folder / LAST, *sorted(folder.glob(f"*/{LAST}"))) if path != own and path.is_file()]
    for path in sorted(others, key=_epoch, reverse=True):
        if usable(path):
            print(f"it is from {path.parent.name}, of the same key")
            return path
    if others or own.is_file():
        print("training starts from the first epoch")
    return None


def _epoch(path: Path) -> int:
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["epoch"])
    except UNREADABLE:
        return -1  # said by usable, which looks at all of it


def usable(path: Path) -> Path | None:
    """``path`` when a training can resume from it; otherwise None, after a word about why. It says so on the log.

    Every record in it must have its checksum, and the best epoch's file the sha256 that it names: they may be of two moments,
    since each is uploaded by itself.
    """
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as records:
            if damaged := records.testzip():
                raise ValueError(f"{damaged} in it has another checksum")
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if content["best"] is not None:
            best = Best(*content["best"])
            if not best.file(path.parent).is_file():
                raise ValueError(f"the best epoch's file, {best.file(path.parent).name}, is gone")
            if sha256_of(best.file(path.parent)) != best.sha256:
                raise ValueError(f"{best.file(path.parent).name} is not the best epoch's that it names")
        print(f"resuming from epoch {content['epoch'] + 1}, finished before the restart")
    except UNREADABLE as error:
        print(
            f"the checkpoint cannot be read ({' '.join(str(error).split())[:200]}): {path.parent.name}/{path.name} is left alone"
        )
        return None
    return path
