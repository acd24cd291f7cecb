"""The frozen tile encoder: built offline from its card and checkpoint, checked before a byte of it is believed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.features import EncoderCard, sha256_of

if TYPE_CHECKING:
    import torch

CARD = "encoder.json"
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
"""What a card may say to timm: shapes only, nothing that names a file or a hub."""


def find_card(folder: Path, sha256: str | None = None) -> tuple[Path, EncoderCard]:
    """The only encoder.json in ``folder`` or in a folder right below it: the folder it lies in, and what it says. Where several
    encoders lie side by side, ``sha256`` of the checkpoint says which is meant.

    Raises:
        DataError: when there is none, more than one, or it is not valid.
    """
    found = [path for path in (folder / CARD, *sorted(folder.glob(f"*/{CARD}"))) if path.is_file()]
    if not found:
        raise DataError(f"{folder}: no {CARD} there: write one with python -m pathology.models.describe FOLDER")
    if sha256 is not None:
        for path in found:
            card = EncoderCard.from_json(path.read_bytes(), f"{path.parent.name}/{CARD}")
            if card.sha256 == sha256:
                return path.parent, card
        names = ", ".join(path.parent.name for path in found)
        raise DataError(f"{folder} holds {names} and no encoder with a checkpoint of sha256 {sha256[:12]}…: put that one there")
    if len(found) > 1 and found[0].parent != folder:
        names = ", ".join(path.parent.name for path in found)
        raise DataError(f"{folder}: several encoders ({names}): name the folder of one")
    return found[0].parent, EncoderCard.from_json(found[0].read_bytes(), f"{found[0].parent.name}/{CARD}")


def find_staged(folder: Path, named: Path | None) -> tuple[Path, EncoderCard]:
    """The encoder in ``folder``: where several are staged side by side, the one whose encoder.json lies in ``named``.

    Raises:
        DataError: as :func:`find_card`.
    """
    return find_card(folder, find_card(named)[1].sha256 if named else None)


def build(card: EncoderCard) -> torch.nn.Module:
    """The encoder's modules on the meta device: every key and shape, no memory, no download.

    Raises:
        DataError: for an architecture or an argument that no encoder of ours has.
    """
    import timm
    import torch

    unknown = sorted(set(card.arguments) - ARGUMENTS)
    if unknown:
        raise DataError(f"encoder {card.name}: the argument {unknown[0]!r} in its {CARD} is none that shapes a ViT")
    if not timm.is_model(card.architecture):
        raise DataError(f"encoder {card.name}: timm has no architecture {card.architecture!r}")
    with torch.device("meta"):
        model: torch.nn.Module = timm.create_model(card.architecture, pretrained=False, **card.arguments)
    return model


def check_weights(weights: object, model: torch.nn.Module, where: str) -> dict[str, torch.Tensor]:
    """The checkpoint's tensors, when they are the model's keys and shapes exactly.

    Raises:
        DataError: naming the first key that is missing, not the model's, or of another shape.
    """
    import torch

    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise DataError(f"{where}: it holds no plain table of tensors")
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
        DataError: when it is no checkpoint of tensors.
    """
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise DataError(f"{path.name}: no checkpoint of tensors alone ({reason})") from None


def load_encoder(folder: Path, device: str | torch.device = "cpu", precision: Precision = "float16") -> Encoder:
    """Find, check and load the encoder in ``folder``.

    Raises:
        DataError: when the card or the checkpoint is missing, has another sha256, or does not fit.
        RequestError: when the device cannot compute in ``precision``.
    """
    import torch

    place, card = find_card(folder)
    path = place / card.checkpoint
    if not path.is_file():
        raise DataError(f"encoder {card.name}: {card.checkpoint} is not beside its {CARD}")
    if sha256_of(path) != card.sha256:
        raise DataError(f"encoder {card.name}: {card.checkpoint} has another sha256 than its {CARD} says: fetch it again")
    model = build(card)
    weights = check_weights(read_weights(path), model, f"encoder {card.name}, {card.checkpoint}")
    model.load_state_dict({key: tensor.float() for key, tensor in weights.items()}, strict=True, assign=True)
    return Encoder(card, model.eval().requires_grad_(False), torch.device(device), precision)


class Encoder:
    """Tiles in, embeddings out. On a CPU ``float16`` is computed in float32, where half precision is only slower."""

    def __init__(self, card: EncoderCard, model: torch.nn.Module, device: torch.device, precision: Precision) -> None:
        import torch

        cuda = device.type == "cuda"
        if precision == "bfloat16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
            name = torch.cuda.get_device_name(device)
            raise RequestError(f"precision bfloat16: {name} has none: use float16, or g5 and g6 instances")
        self.card = card
        self.model = model.to(device)
        self.device = device
        self._most = sys.maxsize
        """Tiles that the device has been seen to have memory for; half of what it had none for."""
        self.arithmetic = "float32" if precision == "float16" and not cuda else precision
        # (x / 255 - mean) / std on the device, from the bytes themselves: a quarter of the traffic.
        self._mean = torch.tensor(card.mean, device=device).view(1, 3, 1, 1) * 255
        self._scale = 1 / (torch.tensor(card.std, device=device).view(1, 3, 1, 1) * 255)

    @property
    def dimension(self) -> int:
        """Numbers of an embedding."""
        return self.card.dimension

    def batch(self, wanted: int) -> int:
        """Tiles of one batch: ``wanted``, or by the device where that is 0. A batch that does not fit is embedded in parts."""
        return wanted or (CUDA_BATCH if self.device.type == "cuda" else CPU_BATCH)

    def _autocast(self) -> AbstractContextManager[object]:
        import torch

        if self.arithmetic == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.arithmetic))

    def embed(self, tiles: np.ndarray) -> np.ndarray:
        """``tiles`` (B, H, W, 3) uint8 of ``card.pixels`` a side → the normed CLS tokens, (B, D) float16.

        Raises:
            DataError: for tiles of another shape or type.
        """
        side = self.card.pixels
        if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[1:] != (side, side, 3):
            raise DataError(f"encoder {self.card.name} takes (B, {side}, {side}, 3) uint8, not {tiles.shape} {tiles.dtype}")
        found = np.empty((len(tiles), self.dimension), np.float16)
        start = 0
        while start < len(tiles):
            part = tiles[start : start + self._most]
            try:
                found[start : start + len(part)] = self._forward(part)
            except _out_of_memory() as error:
                self._most = len(part) // 2
                if self._most == 0:
                    raise DataError(f"encoder {self.card.name}: the device has no memory for one tile ({error})") from None
                continue
            start += len(part)
        return found

    def _forward(self, tiles: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode(), self._autocast():
            pixels = torch.from_numpy(tiles).to(self.device).permute(0, 3, 1, 2)
            tokens = self.model.forward_features((pixels.float() - self._mean) * self._scale)  # type: ignore[operator]
            return np.asarray(tokens[:, 0].half().cpu().numpy())


def _out_of_memory() -> type[Exception]:
    import torch

    return torch.OutOfMemoryError
