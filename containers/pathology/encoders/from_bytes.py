"""An encoder that takes the bytes of a picture: its normalisation is merged into the weights of its patch embedding."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class ByteProjection(nn.Module):
    """``projection`` of (pixels / 255 - mean) / std, computed from ``pixels`` (B, 3, H, W) of 0 to 255 by other weights.

    It is computed in float32 whatever the precision of the rest, being 0.1 % of a ViT-g's work: without the mean taken out the bytes
    are large beside their differences, and half precision would lose some of what they say.
    """

    def __init__(self, projection: nn.Conv2d, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if any(projection.padding if isinstance(projection.padding, tuple) else (1,)):
            raise ValueError("a projection that pads with zeros has no weights that do the same to bytes")
        weight = projection.weight.detach().double()
        means, stds = (torch.tensor(values, dtype=torch.float64, device=weight.device) for values in (mean, std))
        bias = torch.zeros(len(weight), dtype=torch.float64, device=weight.device)
        if projection.bias is not None:
            bias = projection.bias.detach().double()
        self.stride = projection.stride
        self.register_buffer("weight", (weight / (255 * stds).view(1, 3, 1, 1)).float())
        self.register_buffer("bias", (bias - (weight * (means / stds).view(1, 3, 1, 1)).sum(dim=(1, 2, 3))).float())

    def forward(self, pixels: Tensor) -> Tensor:
        """``pixels`` (B, 3, H, W) uint8 → (B, D, H / patch, W / patch) float32."""
        with torch.autocast(pixels.device.type, enabled=False):
            return nn.functional.conv2d(pixels.float(), self.weight, self.bias, self.stride)  # type: ignore[arg-type]


def from_bytes(encoder: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """``encoder`` with a :class:`ByteProjection` for its ``patch_embed.proj``; it shares all other modules with ``encoder``, which
    stays as it is.

    Raises:
        ValueError: when its patch embedding pads.
    """
    patch_embed = encoder.patch_embed
    projection = ByteProjection(patch_embed.proj, mean, std)  # type: ignore[union-attr, arg-type]
    return _with_child(encoder, "patch_embed", _with_child(patch_embed, "proj", projection))  # type: ignore[arg-type]


def _with_child(module: nn.Module, name: str, child: nn.Module) -> nn.Module:
    """A copy of ``module`` with another child of this name; the parameters and the other children are those of ``module``."""
    changed = copy.copy(module)
    changed._modules = {**module._modules, name: child}
    return changed
