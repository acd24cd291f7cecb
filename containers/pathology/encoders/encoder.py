"""The frozen tile encoder: built offline from its manifest and checkpoint, checked before a byte of it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.hashes import sha256_of
from pathology.encoders.manifest import find_manifest
from pathology.encoders.memory import FittingParts

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "float16", "bfloat16"]

H_OPTIMUS_0 = "h-optimus-0"
H_OPTIMUS_0_ARCHITECTURE = "vit_giant_patch14_reg4_dinov2"
H_OPTIMUS_0_ARGUMENTS: dict[str, object] = {
    "img_size": 224, "num_classes": 0, "init_values": 1e-5, "dynamic_img_size": False,
}  # fmt: skip
"""As its authors publish it (Bioptimus, 2024): ViT-g/14 with 4 register tokens, embedding 1536."""

CUDA_BATCH, CPU_BATCH = 128, 32
"""Tiles of a batch where nobody says: H-optimus-0 in half precision fills a GPU from 64 on, and 128 fit 24 GB (facts of the
architecture: 608 GFLOP and 0.05 GiB a tile without gradients)."""

ARGUMENTS = frozenset({
    "img_size", "num_classes", "init_values", "dynamic_img_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "reg_tokens",
})  # fmt: skip
"""What a manifest may say to timm: shapes only, nothing that names a file or a hub."""


def build(manifest: EncoderManifest) -> torch.nn.Module:
    """The encoder's modules on the meta device: every key and shape, no memory, no download.

    Raises:
        DataError: for an architecture or an argument that is not an encoder's of ours.
    """
    import timm
    import torch

    unknown = sorted(set(manifest.arguments) - ARGUMENTS)
    if unknown:
        raise DataError(f"encoder {manifest.name}: the argument {unknown[0]!r} in its {MANIFEST} is none that shapes a ViT")
    if not timm.is_model(manifest.architecture):
        raise DataError(f"encoder {manifest.name}: timm has no architecture {manifest.architecture!r}")
    with torch.device("meta"):
        model: torch.nn.Module = timm.create_model(manifest.architecture, pretrained=False, **manifest.arguments)
    return model


def check_weights(weights: object, model: torch.nn.Module, where: str) -> dict[str, torch.Tensor]:
    """The checkpoint's tensors, when they are the model's keys and shapes exactly.

    Raises:
        DataError: naming the first key that is missing, not the model's, or of another shape.
    """
    import torch

    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise DataError(f"{where}: it is not a plain table of tensors")
    wanted = model.state_dict()
    for problem, keys in (("lacks", wanted.keys() - weights.keys()), ("has besides", weights.keys() - wanted.keys())):
        if keys:
            raise DataError(f"{where}: it {problem} {sorted(keys)[0]!r} ({len(keys)} keys in all): another architecture")
    for key, tensor in weights.items():
        if tensor.shape != wanted[key].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(wanted[key].shape)}"
            raise DataError(f"{where}: {key!r} has the shape {shapes}: another architecture")
    return dict(weights)


def read_weights(path: Path) -> object:
    """What a checkpoint holds, without running anything in it.

    Raises:
        DataError: when it is not a checkpoint of tensors.
    """
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise DataError(f"{path.name}: not a checkpoint of tensors alone ({reason})") from None


def load_encoder(folder: Path, device: str | torch.device = "cpu", precision: Precision = "float16") -> Encoder:
    """Find, check and load the encoder in ``folder``.

    Raises:
        DataError: when the manifest or the checkpoint is missing, has another sha256, or does not fit.
        RequestError: when the device cannot compute in ``precision``.
    """
    import torch

    manifest_folder, manifest = find_manifest(folder)
    path = manifest_folder / manifest.checkpoint
    if not path.is_file():
        raise DataError(f"encoder {manifest.name}: {manifest.checkpoint} is not beside its {MANIFEST}")
    if sha256_of(path) != manifest.sha256:
        raise DataError(
            f"encoder {manifest.name}: {manifest.checkpoint} has another sha256 than its {MANIFEST} says: fetch it again"
        )
    model = build(manifest)
    weights = check_weights(read_weights(path), model, f"encoder {manifest.name}, {manifest.checkpoint}")
    model.load_state_dict({key: tensor.float() for key, tensor in weights.items()}, strict=True, assign=True)
    return Encoder(manifest, model.eval().requires_grad_(False), torch.device(device), precision)


class Encoder:
    """Tiles in, embeddings out. On a CPU ``float16`` is computed in float32, where half precision is only slower. ``model`` is not to
    be trained while this embeds: its patch embedding has a copy with other weights."""

    def __init__(self, manifest: EncoderManifest, model: torch.nn.Module, device: torch.device, precision: Precision) -> None:
        import torch

        from pathology.encoders.from_bytes import from_bytes

        cuda = device.type == "cuda"
        if precision == "bfloat16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
            name = torch.cuda.get_device_name(device)
            raise RequestError(f"precision bfloat16: {name} has none: use float16, or g5 and g6 instances")
        self.manifest = manifest
        self.model = model.to(device)
        self.device = device
        self._parts = FittingParts(f"tile of encoder {manifest.name}")
        self.arithmetic = "float32" if precision == "float16" and not cuda else precision
        # The bytes themselves go to the device: a quarter of the traffic, and no pass over the pixels before the first convolution.
        self._from_bytes = from_bytes(self.model, manifest.mean, manifest.std)

    @property
    def dimension(self) -> int:
        """Numbers of an embedding."""
        return self.manifest.dimension

    def batch(self, wanted: int) -> int:
        """Tiles of one batch: ``wanted``, or by the device where that is 0. A batch that does not fit is embedded in parts."""
        return wanted or (CUDA_BATCH if self.device.type == "cuda" else CPU_BATCH)

    def _autocast(self) -> AbstractContextManager[object]:
        import torch

        if self.arithmetic == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.arithmetic))

    def embed(self, tiles: np.ndarray) -> np.ndarray:
        """``tiles`` (B, H, W, 3) uint8 of ``manifest.pixels`` a side → the normed CLS tokens, (B, D) float16.

        Raises:
            DataError: for tiles of another shape or type.
        """
        side = self.manifest.pixels
        if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[1:] != (side, side, 3):
            raise DataError(f"encoder {self.manifest.name} takes (B, {side}, {side}, 3) uint8, not {tiles.shape} {tiles.dtype}")
        parts = list(self._parts.run(tiles, self._forward))
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float16)

    def _forward(self, tiles: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode(), self._autocast():
            pixels = torch.from_numpy(tiles).to(self.device).permute(0, 3, 1, 2)
            tokens = self._from_bytes.forward_features(pixels)  # type: ignore[operator]
            return np.asarray(tokens[:, 0].half().cpu().numpy())
