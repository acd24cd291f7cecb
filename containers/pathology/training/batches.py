"""Batches that are the same for any number of processes: an epoch's order, cut into steps, steps into micro-batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pathology.contracts.errors import RequestError
from pathology.training.augmentation import sample_generator

Batch = tuple[Tensor, ...]
"""The columns of an example, stacked, and last the weights (B,) float32."""


class Examples(Protocol):
    """What is learnt from, by number."""

    def __len__(self) -> int: ...

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """The numbers of an epoch in their order, (n,); the same number of them every epoch."""
        ...

    def augmented(self, index: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """One to train on, changed by what ``generator`` draws."""
        ...

    def raw(self, index: int) -> tuple[Tensor, ...]:
        """One as it is."""
        ...


class BatchSettings(Protocol):
    """What a micro-batch is made of."""

    @property
    def batch_size(self) -> int:
        """Of all processes together."""
        ...

    @property
    def accumulation(self) -> int:
        """Parts of a step."""
        ...


@dataclass(frozen=True)
class MicroBatch:
    """What one of ``world`` processes takes of every global batch, in ``accumulation`` micro-batches of ``size`` patches."""

    rank: int
    world: int
    accumulation: int
    size: int

    @classmethod
    def of(cls, settings: BatchSettings, rank: int, world: int) -> MicroBatch:
        """Raises RequestError where ``batch-size`` is not a multiple of processes times ``accumulation``."""
        parts = world * settings.accumulation
        if settings.batch_size % parts:
            raise RequestError(
                f"batch-size {settings.batch_size} is global and is shared by {world} processes in {settings.accumulation} parts: "
                f"take a multiple of {parts}"
            )
        return cls(rank, world, settings.accumulation, settings.batch_size // parts)

    @property
    def batch_size(self) -> int:
        """Patches of one step over all processes."""
        return self.world * self.accumulation * self.size

    def steps(self, patches: int) -> int:
        """Optimiser steps of an epoch; the last one may hold fewer patches."""
        return -(-patches // self.batch_size)


class TrainingBatches(Dataset[Batch]):
    """One process's parts of an epoch. Weights make the sum over all processes' parts the mean over the step's patches.

    Short of patches, a part is filled up with weight 0: every part has one shape and every process the same number of them.
    """

    def __init__(self, data: Examples, micro_batch: MicroBatch, seed: int, epoch: int) -> None:
        self.data, self.micro_batch, self.seed, self.epoch = data, micro_batch, seed, epoch
        self.order = data.order(seed, epoch)
        self.turns = _turns(self.order)

    def __len__(self) -> int:
        return self.micro_batch.steps(len(self.order)) * self.micro_batch.accumulation

    def __getitem__(self, number: int) -> Batch:
        micro = self.micro_batch
        step, part = divmod(number, micro.accumulation)
        whole = np.arange(step * micro.batch_size, min((step + 1) * micro.batch_size, len(self.order)))
        start = (part * micro.world + micro.rank) * micro.size
        mine = whole[start : start + micro.size]
        filled = np.concatenate([mine, np.repeat(whole[:1], micro.size - len(mine))])
        # DDP takes the mean over processes and Lightning that over parts: the factor turns both into sums.
        weights = torch.zeros(micro.size)
        weights[: len(mine)] = micro.world * micro.accumulation / len(whole)
        return stacked([self._augmented(position) for position in filled.tolist()], weights)

    def _augmented(self, position: int) -> tuple[Tensor, ...]:
        """An example drawn again in one epoch is changed in another way."""
        index, turn = int(self.order[position]), int(self.turns[position])
        return self.data.augmented(index, sample_generator(self.seed, self.epoch, index, *([turn] if turn else [])))


def _turns(order: np.ndarray) -> np.ndarray:
    """How often the number at each position is in ``order`` before it."""
    sorting = np.argsort(order, kind="stable")
    _, firsts, counts = np.unique(order[sorting], return_index=True, return_counts=True)
    turns = np.empty(len(order), np.int64)
    turns[sorting] = np.arange(len(order)) - np.repeat(firsts, counts)
    return turns


class ValidationBatches(Dataset[Batch]):
    """One process's part of the patches as they are: every ``world``-th; all processes get equally many, the last ones perhaps
    a patch again with weight 0."""

    def __init__(self, data: Examples, rank: int, world: int, batch_size: int) -> None:
        self.data, self.batch_size = data, batch_size
        wanted = np.arange(rank, -(-len(data) // world) * world, world)
        self.indices, self.real = np.minimum(wanted, len(data) - 1), wanted < len(data)

    def __len__(self) -> int:
        return math.ceil(len(self.indices) / self.batch_size)

    def __getitem__(self, number: int) -> Batch:
        part = slice(number * self.batch_size, (number + 1) * self.batch_size)
        examples = [self.data.raw(index) for index in self.indices[part].tolist()]
        return stacked(examples, torch.from_numpy(self.real[part].astype(np.float32)))


def stacked(examples: Sequence[tuple[Tensor, ...]], weights: Tensor) -> Batch:
    """Examples and their ``weights`` (B,) as a batch."""
    return (*(torch.stack(column) for column in zip(*examples, strict=True)), weights)


def loader(batches: Dataset[Batch], workers: int) -> DataLoader[Batch]:
    """Batches in their order, read ahead by ``workers`` processes, or in this one where that is 0."""
    return DataLoader(batches, batch_size=None, shuffle=False, num_workers=workers, pin_memory=torch.cuda.is_available())
