"""Augmentation of H&E patches: flips, quarter turns, stain and blur jitter, every draw from the sample's own generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

STAINS = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""Optical density in red, green, blue of haematoxylin, eosin and DAB (Ruifrok & Johnston 2001)."""
JITTER = 0.05
"""Largest change of a stain's strength, as a factor and as an offset: "HED-light" of Tellez et al. 2019."""
MAX_BLUR = 1.0
"""px: largest standard deviation of the blur; at 0.5 µm/px more would hide the chromatin that tells small nuclei apart."""


def sample_generator(*seed: int) -> torch.Generator:
    """A generator that depends on these numbers alone: seed, epoch and the patch's number."""
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def augment(patch: Tensor, generator: torch.Generator) -> Tensor:
    """``patch`` (3, H, H) uint8 → the same, turned by quarters, perhaps mirrored, its stains a little stronger or weaker."""
    return stain_jitter(rotate_flip(patch, *draw_turn(generator)), generator)


def draw_turn(generator: torch.Generator) -> tuple[int, bool]:
    """One of the square's 8 symmetries: quarter turns counter-clockwise, and whether it is mirrored left to right afterwards."""
    turns, mirrored = torch.randint(0, 4, (), generator=generator), torch.randint(0, 2, (), generator=generator)
    return int(turns), bool(mirrored)


def rotate_flip(picture: Tensor, turns: int, mirrored: bool) -> Tensor:
    """``picture`` (…, H, W) turned, then mirrored; a view."""
    picture = torch.rot90(picture, turns, (-2, -1))
    return picture.flip(-1) if mirrored else picture


def stain_jitter(patch: Tensor, generator: torch.Generator, amount: float = JITTER) -> Tensor:
    """``patch`` (3, H, W) uint8 → the same with each stain scaled by 1 ± ``amount`` and shifted by ± ``amount``."""
    scale = 1 + amount * (2 * torch.rand(3, generator=generator) - 1)
    shift = amount * (2 * torch.rand(3, generator=generator) - 1)
    density = -torch.log(patch.float().clamp(min=1) / 255)
    # stains = S⁻ᵀ density; scaled and shifted; back to density: one 3×3 matrix and an offset.
    to_density = STAINS.T
    mixed = to_density @ torch.diag(scale) @ torch.linalg.inv(to_density)
    changed = torch.einsum("ij,jhw->ihw", mixed, density) + (to_density @ shift)[:, None, None]
    return (torch.exp(-changed) * 255).round().clamp(0, 255).to(torch.uint8)


def blur_jitter(patch: Tensor, generator: torch.Generator, max_std: float = MAX_BLUR) -> Tensor:
    """``patch`` (3, H, W) uint8 → the same, every second one blurred by a Gaussian of up to ``max_std`` px (standard deviation)."""
    blurred, width = torch.rand(2, generator=generator).tolist()
    reach = round(3 * max_std)
    if blurred < 0.5 or not reach or not width:
        return patch
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / (width * max_std)).square())
    kernel = (kernel / kernel.sum())[None, None]
    picture = functional.pad(patch.float()[:, None], (reach,) * 4, mode="reflect")
    picture = functional.conv2d(functional.conv2d(picture, kernel[:, :, None]), kernel[..., None])
    return picture[:, 0].round().clamp(0, 255).to(torch.uint8)
