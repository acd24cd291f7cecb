"""Lightning's checkpoints on our terms: one file at the end of an epoch, whole or not there, read without running anything."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from pathology.contracts.code import command_code
from pathology.contracts.settings import Settings
from pathology.contracts.storage import temp_sibling

LAST = "last.ckpt"


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
    """Keeps the last finished epoch, and of the best epochs' files the one that it names.

    A ``Checkpoint`` to Lightning, so that its turn comes after early stopping has counted the epoch.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Save, then drop what no checkpoint names any more."""
        trainer.save_checkpoint(self.folder / LAST)
        if trainer.is_global_zero and pl_module.best is not None:
            for path in self.folder.glob("best-*.safetensors"):
                if path != pl_module.best.file(self.folder):
                    path.unlink()


class Stopping(EarlyStopping):
    """Early stopping that a restart after its last epoch does not undo."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop at once when patience was at its end."""
        super().on_train_start(trainer, pl_module)
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def usable(path: Path) -> Path | None:
    """``path`` when a training can resume from it; otherwise None, after a word about why. It says so on the log."""
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        best = content["best"]
        if best is not None and not (path.parent / f"best-{best[0]}.safetensors").is_file():
            raise ValueError(f"the best epoch's file, {best[0]}, is gone")
        print(f"resuming from epoch {content['epoch'] + 1}, finished before the restart")
    except (pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
        print(f"the checkpoint cannot be read ({' '.join(str(error).split())[:200]}): training starts from the first epoch")
        return None
    return path
