"""The losses of HoVer-Net (Graham et al. 2019, eqs. 1 to 6) for its three heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from pathology.tasks.lizard.model import Maps

GRADIENT_WEIGHT = 2.0
"""The paper's λ_b; its other weights are 1."""
SMOOTH = 1e-3
"""Keeps Dice defined where a class is absent."""


class Targets(NamedTuple):
    """What is true of every pixel: in a nucleus (B, H, W) 0 or 1, distance maps (B, 2, H, W), class (B, H, W) int64 of 0 to K."""

    nucleus: Tensor
    distances: Tensor
    classes: Tensor


def losses(maps: Maps, targets: Targets) -> Tensor:
    """One loss for each patch, (B,): cross-entropy and Dice of nucleus and class, squared error of distances and their slopes.

    Always in float32: in half precision sums over 65,536 px overflow or lose their small parts.
    """
    with torch.autocast(maps.nucleus.device.type, enabled=False):
        return (
            nucleus_loss(maps.nucleus.float(), targets.nucleus)
            + distance_loss(maps.distances.float(), targets.distances, targets.nucleus)
            + class_loss(maps.classes.float(), targets.classes)
        )


def nucleus_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """(B, H, W) both → (B,)."""
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2))
    probability = logits.sigmoid()
    return entropy + _dice(probability[:, None], truth[:, None])[:, 0]


def class_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """(B, K + 1, H, W) and (B, H, W) → (B,): cross-entropy over all px, once more over those in nuclei, and Dice.

    Dice is summed over background and the classes that the patch has. Two things are not as published. Of a class that is not
    there Dice only drives the probability to where the others' gradients die, since ours is by patch and not by batch. And four
    px in five are background: without their own mean, nuclei are found long before they are told apart (docs/lizard.md).
    """
    entropy = functional.cross_entropy(logits, truth, reduction="none")
    inside = (truth > 0).to(entropy)
    of_nuclei = (entropy * inside).sum((1, 2)) / (inside.sum((1, 2)) + SMOOTH)
    one_hot = functional.one_hot(truth, logits.shape[1]).movedim(-1, 1).to(logits)
    present = one_hot.sum((2, 3)) > 0
    return entropy.mean((1, 2)) + of_nuclei + (_dice(logits.softmax(1), one_hot) * present).sum(1)


def distance_loss(maps: Tensor, truth: Tensor, nucleus: Tensor) -> Tensor:
    """(B, 2, H, W) both, (B, H, W) → (B,): squared error, and within nuclei that of each map's slope along its own axis."""
    error = (maps - truth).square().mean((1, 2, 3))
    slopes = (_slopes(maps) - _slopes(truth)).square() * nucleus[:, None]
    return error + GRADIENT_WEIGHT * slopes.sum((1, 2, 3)) / (nucleus.sum((1, 2)) + SMOOTH)


def _dice(probability: Tensor, truth: Tensor) -> Tensor:
    """1 − Dice of (B, C, H, W), by patch and channel (B, C)."""
    both = (probability * truth).sum((2, 3))
    return 1 - (2 * both + SMOOTH) / (probability.sum((2, 3)) + truth.sum((2, 3)) + SMOOTH)


def _slopes(maps: Tensor) -> Tensor:
    """The horizontal map's derivative along x and the vertical's along y, (B, 2, H, W), by HoVer-Net's 5×5 kernel."""
    steps = torch.arange(-2, 3, dtype=maps.dtype, device=maps.device)
    vertical, horizontal = torch.meshgrid(steps, steps, indexing="ij")
    reach = horizontal.square() + vertical.square()
    reach[2, 2] = 1  # its own numerator is 0
    kernel = torch.stack([horizontal / reach, vertical / reach])[:, None]
    return functional.conv2d(maps, kernel, padding=2, groups=2)
