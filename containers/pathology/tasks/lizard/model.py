"""A U-shaped decoder on four depths of a ViT and a convolutional stem on the raw image: nuclei, their distance maps, their classes.

A ViT's tokens are 14 px apart and a lymphocyte is that wide: the stem sees what lies between them, the encoder what it means.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pathology.contracts.errors import DataError
from pathology.encoders.adapters import merge_adapters, set_trainable
from pathology.encoders.encoder import Encoder, build

DEPTHS = 4
"""Features are taken after each quarter of the encoder's blocks: 10, 20, 30 and 40 of H-optimus-0, as UNETR and CellViT do."""
STEP = 2 ** (DEPTHS - 1)
"""px: the stem halves the image three times."""
MIN_SIDE = 32
"""px: reflection needs more image than it adds."""
GROUP = 8
"""Channels normalised together: nothing depends on the batch, so any number of processes gives the same (Wu & He 2018)."""


class Maps(NamedTuple):
    """What the network says of every pixel: logits of being in a nucleus (B, H, W), horizontal and vertical distances
    (B, 2, H, W), logits of background and K classes (B, K + 1, H, W)."""

    nucleus: Tensor
    distances: Tensor
    classes: Tensor

    def probabilities(self) -> Tensor:
        """What nuclei are found by, (B, 4 + K, H, W) float32: probability of a nucleus, both distances, probability of each class."""
        return torch.cat((self.nucleus.float().sigmoid()[:, None], self.distances.float(), self.classes.float().softmax(1)), 1)


def for_any_size(encoder: Encoder) -> nn.Module:
    """The encoder's weights in modules for images of any size: its position embedding is resampled to the image's grid."""
    manifest = encoder.manifest
    model = build(manifest.model_copy(update={"arguments": {**manifest.arguments, "dynamic_img_size": True}}))
    model.load_state_dict(encoder.model.state_dict(), strict=True, assign=True)
    return model


def depths(blocks: int) -> list[int]:
    """After which blocks, from 0, features are taken; a shallow encoder repeats some."""
    return [max(1, round(blocks * quarter / DEPTHS)) - 1 for quarter in range(1, DEPTHS + 1)]


@lru_cache(256)
@torch.inference_mode(False)
def _weights(size: int, step: int, cells: int, cell: int) -> Tensor:
    """Linear interpolation (size / step, cells) from cells of ``cell`` px to a grid of ``step`` px, both from the same corner.

    Kept for the next picture of the size, and so never a tensor of inference mode, with which nothing could be trained.
    """
    position = (torch.arange(size // step, dtype=torch.float64) + 0.5) * step / cell - 0.5
    position = position.clamp(0, cells - 1)
    low = position.floor().long().clamp(max=max(0, cells - 2))
    fraction = position - low
    rows = torch.arange(len(position))
    weights = torch.zeros(len(position), cells, dtype=torch.float64)
    weights[rows, low] += 1 - fraction
    weights[rows, (low + 1).clamp(max=cells - 1)] += fraction
    return weights.float()


def lay(features: Tensor, size: tuple[int, int], step: int, cell: int) -> Tensor:
    """A ViT's grid (B, C, h, w) of ``cell`` px laid over an image of ``size`` px, one value every ``step`` px.

    Two small products in place of an interpolation by factors: exact for every size, and the same every time on a GPU. The result
    lies channels last, as the decoder's convolutions want it.
    """
    rows, columns = (_weights(side, step, cells, cell) for side, cells in zip(size, features.shape[-2:], strict=True))
    images, channels, height, width = features.shape
    down = rows.to(features) @ features.permute(0, 2, 3, 1).reshape(images, height, width * channels)
    return (columns.to(features) @ down.view(images, len(rows), width, channels)).permute(0, 3, 1, 2)


def convolution(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    """A 3×3 convolution, normalised."""
    return [
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.GroupNorm(max(1, outputs // GROUP), outputs),
        nn.ReLU(inplace=True),
    ]


class Decoder(nn.Module):
    """Stem, decoder and heads: all that is trained beside adapters. ``width`` channels at full resolution, doubled at halvings.

    What comes from below is brought to a level's width where it is coarse, a quarter of the work, and added to the encoder's
    tokens, which are as coarse; only the stem's fine features are joined beside them.
    """

    def __init__(self, dimension: int, classes: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(DEPTHS)]
        self.stem = nn.ModuleList(
            nn.Sequential(*convolution(inputs, outputs, 1 if level == 0 else 2), *convolution(outputs, outputs))
            for level, (inputs, outputs) in enumerate(zip([3, *widths[:-1]], widths, strict=True))
        )
        # The deepest features go where the image is coarsest, the shallowest to full resolution.
        self.project = nn.ModuleList(nn.Conv2d(dimension, channels, 1) for channels in reversed(widths))
        self.rise = nn.ModuleList(nn.Conv2d(2 * channels, channels, 1) for channels in widths[:-1])
        self.join = nn.ModuleList(
            nn.Sequential(*convolution(2 * channels, channels), *convolution(channels, channels)) for channels in widths
        )
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(*convolution(width, width), nn.Conv2d(width, outputs, 1))
                for name, outputs in (("nucleus", 1), ("distances", 2), ("classes", classes + 1))
            }
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time on a CPU

    def forward(self, image: Tensor, features: list[Tensor], cell: int) -> Maps:
        """``image`` (B, 3, H, W) normalised, H and W multiples of :data:`STEP`; ``features`` four of (B, D, h, w), shallow first."""
        levels = [image.contiguous(memory_format=torch.channels_last)]
        for layer in self.stem:
            levels.append(layer(levels[-1]))
        size = (image.shape[-2], image.shape[-1])
        decoded: Tensor | None = None
        for level in reversed(range(DEPTHS)):
            # depth 4 → level 3, …, depth 1 → level 0; projected on the coarse grid, where it costs little
            meaning = lay(self.project[DEPTHS - 1 - level](features[level]), size, 2**level, cell)
            if decoded is not None:
                meaning = meaning + functional.interpolate(self.rise[level](decoded), scale_factor=2.0, mode="nearest")
            decoded = self.join[level](torch.cat([levels[level + 1], meaning], 1))
        assert decoded is not None
        nucleus, distances, classes = (self.heads[name](decoded) for name in ("nucleus", "distances", "classes"))
        return Maps(nucleus.squeeze(1), distances, classes)


class NuclearUnet(nn.Module):
    """Patches of any size → :class:`Maps`. The encoder is frozen, or has low-rank adapters that train with the decoder."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: Encoder,
        classes: int,
        width: int,
        fine_tuning: Literal["frozen", "lora"] = "frozen",
        rank: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        manifest = encoder.manifest
        self.manifest, self.fine_tuning = manifest, fine_tuning
        with torch.random.fork_rng(devices=[]):  # the seed's own start, whatever ran before
            torch.manual_seed(seed)
            self.encoder = set_trainable(for_any_size(encoder), "lora" if fine_tuning == "lora" else "linear", rank, 0)
            self.decoder = Decoder(manifest.dimension, classes, width)
        if fine_tuning == "lora":
            self.encoder.set_grad_checkpointing(True)  # type: ignore[operator]  # 0.06 GiB a patch, not 0.51 (facts §1)
        self.taken = depths(len(self.encoder.blocks))  # type: ignore[arg-type]
        self.cell = int(self.encoder.patch_embed.patch_size[0])  # type: ignore[index, union-attr, arg-type]
        self.register_buffer("mean", torch.tensor(manifest.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(manifest.std).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, pixels: Tensor) -> Maps:
        """``pixels`` (B, 3, H, W) of 0 to 255.

        Raises:
            DataError: for an image below :data:`MIN_SIDE` px.
        """
        height, width = pixels.shape[-2:]
        if min(height, width) < MIN_SIDE:
            raise DataError(f"the image is {width} × {height} px, and at least {MIN_SIDE} a side are needed")
        image = (pixels.float() - self.mean) / self.std
        features = self.features(_filled(image, self.cell))
        maps = self.decoder(_filled(image, STEP), features, self.cell)
        return Maps(*(value[..., :height, :width].float() for value in maps))

    def features(self, image: Tensor) -> list[Tensor]:
        """Four depths of the encoder, (B, D, h, w) each, shallow first."""
        wanted = sorted(set(self.taken))
        with torch.set_grad_enabled(self.fine_tuning == "lora" and torch.is_grad_enabled()):
            intermediates = self.encoder.forward_intermediates(  # type: ignore[operator]
                image, indices=wanted, norm=True, output_fmt="NCHW", intermediates_only=True
            )
        by_block = dict(zip(wanted, intermediates, strict=True))
        return [by_block[block] for block in self.taken]

    def pooled(self, pixels: Tensor) -> Tensor:
        """``pixels`` (B, 3, H, W) of 0 to 255 → (B, D) float32: the mean of the encoder's deepest features over the picture."""
        image = (pixels.float() - self.mean) / self.std
        return self.features(_filled(image, self.cell))[-1].float().mean((2, 3))

    def train(self, mode: bool = True) -> NuclearUnet:
        """A frozen encoder stays as it is evaluated."""
        super().train(mode)
        if self.fine_tuning == "frozen":
            self.encoder.eval()
        return self

    def encoder_state(self) -> dict[str, Tensor]:
        """The adapters, by name; empty for a frozen encoder."""
        return {name: value.detach() for name, value in self.encoder.named_parameters() if value.requires_grad}

    def for_serving(self) -> NuclearUnet:
        """Adapters merged into the encoder's weights, nothing with gradients; not for training afterwards."""
        if self.fine_tuning == "lora":
            self.encoder.set_grad_checkpointing(False)  # type: ignore[operator]
            merge_adapters(self.encoder)
            self.fine_tuning = "frozen"
        self.eval().requires_grad_(False)
        return self


def _filled(image: Tensor, step: int) -> Tensor:
    """The image reflected at its right and lower edge up to the next multiple of ``step``."""
    below, right = (-side % step for side in image.shape[-2:])
    return functional.pad(image, (0, right, 0, below), mode="reflect") if below or right else image
