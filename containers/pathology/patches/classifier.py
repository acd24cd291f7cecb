"""An encoder with a linear head on its class token, and which of its parameters each way of tuning trains."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pathology.contracts.encoder import EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.fine_tuning import FineTuning
from pathology.encoders.adapters import merge_adapters, set_trainable
from pathology.encoders.encoder import Encoder, Precision


class PatchClassifier(nn.Module):
    """Patches → one logit each, positive for class 1. ``fine_tuning`` decides what has gradients: adapters, last blocks, or everything.

    Takes the encoder's module as its own: adapters are put into it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, manifest: EncoderManifest, encoder: nn.Module, fine_tuning: FineTuning, rank: int, blocks: int, seed: int = 0
    ) -> None:
        super().__init__()
        self.manifest, self.fine_tuning = manifest, fine_tuning
        with torch.random.fork_rng(devices=[]):  # adapters start from random directions: the seed's alone
            torch.manual_seed(seed)
            self.encoder = set_trainable(encoder, fine_tuning, rank, blocks)
            self.head = nn.Linear(manifest.dimension, 1)
        # Zero weights: the first steps move the encoder by what the labels say, not by a random direction.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.tensor(manifest.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(manifest.std).view(1, 3, 1, 1) * 255, persistent=False)
        if fine_tuning != "linear":
            self.encoder.set_grad_checkpointing(True)  # type: ignore[operator]  # 0.06 GiB a patch, not 0.51 (facts §1)

    def forward(self, pixels: Tensor) -> Tensor:
        """``pixels`` (B, 3, H, W) of 0 to 255 → logits (B,) float32."""
        tokens = self.encoder.forward_features((pixels.float() - self.mean) / self.std)  # type: ignore[operator]
        logits: Tensor = self.head(tokens[:, 0]).squeeze(-1)
        return logits.float()

    def encoder_state(self) -> dict[str, Tensor]:
        """What ``fine_tuning`` trains inside the encoder, by name; empty for ``linear``."""
        return {name: value.detach() for name, value in self.encoder.named_parameters() if value.requires_grad}

    def head_state(self) -> dict[str, Tensor]:
        """The head: ``weight`` (D,) and ``bias`` ()."""
        return {"weight": self.head.weight.detach()[0], "bias": self.head.bias.detach()[0]}

    def start_head(self, weight: Tensor, bias: Tensor) -> None:
        """Set the head to ``weight`` (D,) and ``bias`` ()."""
        with torch.no_grad():
            self.head.weight.copy_(weight[None])
            self.head.bias.copy_(bias[None])

    def merged_encoder(self) -> nn.Module:
        """The encoder ready to embed, adapters folded into its weights; the classifier is not for training afterwards."""
        self.encoder.set_grad_checkpointing(False)  # type: ignore[operator]
        merge_adapters(self.encoder)
        return self.encoder.eval().requires_grad_(False)


def load_encoder_weights(classifier: PatchClassifier, state: Mapping[str, Tensor], where: str) -> None:
    """Put trained parameters into the encoder, which must be exactly those that its ``fine_tuning`` trains.

    Raises:
        DataError: naming the first key that is missing, surplus or of another shape.
    """
    wanted = classifier.encoder_state()
    for problem, keys in (("lacks", wanted.keys() - state.keys()), ("has besides", state.keys() - wanted.keys())):
        if keys:
            raise DataError(
                f"{where}: it {problem} {sorted(keys)[0]!r}: it was not trained with fine-tuning {classifier.fine_tuning}"
            )
    for name, value in state.items():
        if value.shape != wanted[name].shape:
            raise DataError(f"{where}: {name!r} has the shape {tuple(value.shape)}, not {tuple(wanted[name].shape)}")
        wanted[name].copy_(value)


def serving_encoder(classifier: PatchClassifier, device: torch.device, precision: Precision = "float16") -> Encoder:
    """The tuned encoder as one that embeds patches; on a CPU float16 means float32."""
    return Encoder(classifier.manifest, classifier.merged_encoder(), device, precision)
