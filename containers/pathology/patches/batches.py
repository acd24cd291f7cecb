"""Labelled patches as a patch classifier learns from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pathology.encoders.embedding_cache import PatchSource
from pathology.training.augmentation import augment


@dataclass(frozen=True)
class LabelledPatches:
    """Patches with their ``targets`` (N,): fractions of class 1, 0 or 1 unless annotators' votes are learnt.

    An example is a patch (3, H, W) uint8 and its target () float32.
    """

    patches: PatchSource
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Every patch once."""
        return np.random.default_rng((seed, epoch)).permutation(len(self))

    def pixels(self, index: int) -> Tensor:
        """One patch, (3, H, W) uint8."""
        return torch.from_numpy(np.ascontiguousarray(self.patches[index].transpose(2, 0, 1)))

    def augmented(self, index: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Turned, mirrored, stained otherwise."""
        return augment(self.pixels(index), generator), self._target(index)

    def raw(self, index: int) -> tuple[Tensor, Tensor]:
        """The patch as it is."""
        return self.pixels(index), self._target(index)

    def _target(self, index: int) -> Tensor:
        return torch.tensor(self.targets[index], dtype=torch.float32)
