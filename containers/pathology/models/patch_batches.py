"""Batches of patches that are the same for any number of processes: an epoch's order, cut into steps, steps into shares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pathology.contracts.errors import RequestError
from pathology.contracts.settings_mhist import TrainMhist
from pathology.models.augmentation import augment, sample_generator
from pathology.models.embedding_cache import PatchSource

Batch = tuple[Tensor, Tensor, Tensor]
"""Patches (B, 3, H, W) uint8, targets (B,) float32 in 0 to 1, weights (B,) float32."""


@dataclass(frozen=True)
class LabelledPatches:
    """Patches with their ``targets`` (N,): shares of class 1, 0 or 1 unless annotators' votes are learnt."""

    patches: PatchSource
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def pixels(self, index: int) -> Tensor:
        """One patch, (3, H, W) uint8."""
        return torch.from_numpy(np.ascontiguousarray(self.patches[index].transpose(2, 0, 1)))


@dataclass(frozen=True)
class Share:
    """What one of ``world`` processes takes of every global batch, in ``accumulation`` parts of ``part`` patches."""

    rank: int
    world: int
    accumulation: int
    part: int

    @classmethod
    def of(cls, settings: TrainMhist, rank: int, world: int) -> Share:
        """Raises RequestError where ``batch-size`` is not a multiple of processes times ``accumulation``."""
        shares = world * settings.accumulation
        if settings.batch_size % shares:
            raise RequestError(
                f"batch-size {settings.batch_size} is global and is shared by {world} processes in {settings.accumulation} parts: "
                f"take a multiple of {shares}"
            )
        return cls(rank, world, settings.accumulation, settings.batch_size // shares)

    @property
    def batch_size(self) -> int:
        """Patches of one step over all processes."""
        return self.world * self.accumulation * self.part

    def steps(self, patches: int) -> int:
        """Optimiser steps of an epoch; the last one may hold fewer patches."""
        return -(-patches // self.batch_size)


class TrainingBatches(Dataset[Batch]):
    """One process's parts of an epoch. Weights make the sum over all processes' parts the mean over the step's patches.

    Short of patches, a part is filled up with weight 0: every part has one shape and every process the same number of them.
    """

    def __init__(self, data: LabelledPatches, share: Share, seed: int, epoch: int) -> None:
        self.data, self.share, self.seed, self.epoch = data, share, seed, epoch
        self.order = np.random.default_rng((seed, epoch)).permutation(len(data))

    def __len__(self) -> int:
        return self.share.steps(len(self.data)) * self.share.accumulation

    def __getitem__(self, number: int) -> Batch:
        share = self.share
        step, part = divmod(number, share.accumulation)
        whole = self.order[step * share.batch_size : (step + 1) * share.batch_size]
        start = (part * share.world + share.rank) * share.part
        mine = whole[start : start + share.part]
        filled = np.concatenate([mine, np.repeat(whole[:1], share.part - len(mine))])
        # DDP takes the mean over processes and Lightning that over parts: the factor turns both into sums.
        weights = torch.zeros(share.part)
        weights[: len(mine)] = share.world * share.accumulation / len(whole)
        pixels = [augment(self.data.pixels(index), sample_generator(self.seed, self.epoch, index)) for index in filled.tolist()]
        return torch.stack(pixels), torch.from_numpy(self.data.targets[filled].astype(np.float32)), weights


class ValidationBatches(Dataset[Batch]):
    """One process's share of the patches as they are: every ``world``-th; all processes get equally many, the last ones perhaps
    a patch again with weight 0."""

    def __init__(self, data: LabelledPatches, rank: int, world: int, batch_size: int) -> None:
        self.data, self.batch_size = data, batch_size
        wanted = np.arange(rank, -(-len(data) // world) * world, world)
        self.indices, self.real = np.minimum(wanted, len(data) - 1), wanted < len(data)

    def __len__(self) -> int:
        return math.ceil(len(self.indices) / self.batch_size)

    def __getitem__(self, number: int) -> Batch:
        place = slice(number * self.batch_size, (number + 1) * self.batch_size)
        chosen = self.indices[place]
        pixels = torch.stack([self.data.pixels(index) for index in chosen.tolist()])
        targets = torch.from_numpy(self.data.targets[chosen].astype(np.float32))
        return pixels, targets, torch.from_numpy(self.real[place].astype(np.float32))


def loader(batches: Dataset[Batch], workers: int) -> DataLoader[Batch]:
    """Batches in their order, read ahead by ``workers`` processes, or in this one where that is 0."""
    return DataLoader(batches, batch_size=None, shuffle=False, num_workers=workers, pin_memory=torch.cuda.is_available())
