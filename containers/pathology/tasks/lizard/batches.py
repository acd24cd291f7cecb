"""Patches with their nuclei as the network learns from them: rare classes drawn more often, picture and truth moved together."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pathology.nuclei.classes import class_counts
from pathology.nuclei.targets import distance_maps
from pathology.tasks.lizard.losses import Targets
from pathology.training.augmentation import blur_jitter, draw_turn, rotate_flip, stain_jitter


class NucleiSource(Protocol):
    """Patches by number: image (S, S, 3) uint8, labels (S, S, 2) of whole numbers, instance id and class."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[np.ndarray, np.ndarray]:
        """One patch."""
        ...


class PermutedLabels:
    """``patches``, with their labels permuted among them: pictures tell nothing of them, and all else is the same."""

    def __init__(self, patches: NucleiSource, seed: tuple[int, int]) -> None:
        self.patches = patches
        self._label_of = np.random.default_rng(seed).permutation(len(patches))

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int, /) -> tuple[np.ndarray, np.ndarray]:
        return self.patches[index][0], self.patches[int(self._label_of[index])][1]


class NuclearPatches:
    """``patches`` with nuclei of ``classes`` classes. ``balance`` is how far patches with rare classes are drawn more often.

    An example is a patch (3, S, S) uint8, its labels (2, S, S) int32, distance maps (2, S, S) float32 and its number () int64.

    Raises:
        DataError: for labels of another class, or a nucleus of two.
    """

    def __init__(self, patches: NucleiSource, classes: int, balance: float = 0.0, augment: bool = False) -> None:
        self.patches, self.augment = patches, augment
        self.weights: np.ndarray | None = None
        if balance > 0:
            counts = np.stack([class_counts(patches[index][1], classes) for index in range(len(patches))])
            self.weights = draw_weights(counts, balance)

    def __len__(self) -> int:
        return len(self.patches)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """As many as there are, drawn with replacement by their weights; without ``balance`` every patch once."""
        generator = np.random.default_rng((seed, epoch))
        if self.weights is None:
            return generator.permutation(len(self))
        return generator.choice(len(self), len(self), p=self.weights)

    def raw(self, index: int) -> tuple[Tensor, ...]:
        """The patch as it is."""
        image, labels = self.patches[index]
        return (
            torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            torch.from_numpy(labels.transpose(2, 0, 1).astype(np.int32)),
            torch.from_numpy(distance_maps(labels[..., 0])),
            torch.tensor(index),
        )

    def augmented(self, index: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Turned and mirrored with its truth, its picture stained otherwise and blurred; as it is unless ``augment`` is on."""
        image, labels, distances, number = self.raw(index)
        if not self.augment:
            return image, labels, distances, number
        turns, mirrored = draw_turn(generator)
        image = blur_jitter(stain_jitter(rotate_flip(image, turns, mirrored), generator), generator)
        labels, distances = rotate_flip(labels, turns, mirrored), rotate_flip_distances(distances, turns, mirrored)
        return image, labels.contiguous(), distances, number


def draw_weights(counts: np.ndarray, balance: float) -> np.ndarray:
    """How likely each patch is drawn, (N,), out of its nuclei of each class (N, K).

    A patch counts by its rarest class, the one that the fewest patches have: 1 over the fraction that has it, to the power
    of ``balance``. At 1 the patches of every class are drawn about as often as those of the commonest, at 0 all alike. A patch
    without nuclei counts as one of the commonest class.
    """
    has = counts > 0
    fraction = has.mean(0)
    rarest = np.where(has, fraction, np.inf).min(1)
    rarest[~has.any(1)] = fraction.max() or 1.0
    weights = rarest**-balance
    return np.asarray(weights / weights.sum())


def rotate_flip_distances(distances: Tensor, turns: int, mirrored: bool) -> Tensor:
    """Horizontal and vertical maps (2, H, W) of a patch that is turned and mirrored, as :func:`distance_maps` would give them.

    A quarter turn counter-clockwise makes what was right upper, and what was below right: the maps change places, and one its
    sign. A mirror changes the horizontal map's sign.
    """
    horizontal, vertical = rotate_flip(distances, turns, mirrored)
    for _ in range(turns):
        horizontal, vertical = vertical, -horizontal
    return torch.stack([-horizontal if mirrored else horizontal, vertical])


def targets_of(labels: Tensor, distances: Tensor) -> Targets:
    """Labels (B, 2, H, W) and distance maps (B, 2, H, W) of a batch as the losses take them."""
    return Targets((labels[:, 0] > 0).float(), distances, labels[:, 1].long())
