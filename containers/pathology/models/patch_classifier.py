"""An encoder with a linear head on its class token, and which of its parameters each way of tuning trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.features import EncoderCard
from pathology.contracts.settings_mhist import Tune
from pathology.models.encoder import Encoder, Precision

LORA_TARGETS = ["attn.qkv", "attn.proj"]
"""timm's names in every block; ``attn.`` keeps the patch embedding's ``proj`` out."""


def training_precision(device: torch.device, wanted: Precision | Literal["auto"]) -> Precision:
    """The arithmetic of training: ``auto`` is bfloat16 where the GPU has it, else float16 with scaled gradients; float32 on a CPU.

    Raises:
        RequestError: for bfloat16 on a GPU without it.
    """
    if device.type != "cuda":
        return "bfloat16" if wanted == "bfloat16" else "float32"
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted == "bfloat16" and not has_bfloat16:
        name = torch.cuda.get_device_name(device)
        raise RequestError(f"precision bfloat16: {name} has none: use auto or float16, or g5 and g6 instances")
    if wanted == "auto":
        return "bfloat16" if has_bfloat16 else "float16"
    return wanted


class PatchClassifier(nn.Module):
    """Patches → one logit each, positive for class 1. ``tune`` decides what has gradients: adapters, last blocks, or everything.

    Takes the encoder's module as its own: adapters are put into it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, card: EncoderCard, encoder: nn.Module, tune: Tune, rank: int, blocks: int, seed: int = 0) -> None:
        super().__init__()
        self.card, self.tune = card, tune
        with torch.random.fork_rng(devices=[]):  # adapters start from random directions: the seed's, whatever ran before
            torch.manual_seed(seed)
            self.encoder = tune_encoder(encoder, tune, rank, blocks)
            self.head = nn.Linear(card.dimension, 1)
        # Zero weights: the first steps move the encoder by what the labels say, not by a random direction.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.tensor(card.mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, 3, 1, 1) * 255, persistent=False)
        if tune != "linear":
            self.encoder.set_grad_checkpointing(True)  # type: ignore[operator]  # 0.06 GiB a patch, not 0.51 (facts §1)

    def forward(self, pixels: Tensor) -> Tensor:
        """``pixels`` (B, 3, H, W) of 0 to 255 → logits (B,) float32."""
        tokens = self.encoder.forward_features((pixels.float() - self.mean) / self.std)  # type: ignore[operator]
        logits: Tensor = self.head(tokens[:, 0]).squeeze(-1)
        return logits.float()

    def encoder_state(self) -> dict[str, Tensor]:
        """What ``tune`` trains inside the encoder, by name; empty for ``linear``."""
        return {name: value.detach() for name, value in self.encoder.named_parameters() if value.requires_grad}

    def head_state(self) -> dict[str, Tensor]:
        """The head: ``weight`` (D,) and ``bias`` ()."""
        return {"weight": self.head.weight.detach()[0], "bias": self.head.bias.detach()[0]}

    def start_head(self, weight: Tensor, bias: Tensor) -> None:
        """Set the head to ``weight`` (D,) and ``bias`` ()."""
        with torch.no_grad():
            self.head.weight.copy_(weight[None])
            self.head.bias.copy_(bias[None])

    def plain_encoder(self) -> nn.Module:
        """The encoder ready to embed, adapters folded into its weights; the classifier is not for training afterwards."""
        self.encoder.set_grad_checkpointing(False)  # type: ignore[operator]
        fold_adapters(self.encoder)
        return self.encoder.eval().requires_grad_(False)


def tune_encoder(encoder: nn.Module, tune: Tune, rank: int, blocks: int) -> nn.Module:
    """Give gradients to what ``tune`` trains, after putting adapters in for ``lora``; the same module.

    Raises:
        RequestError: for more ``blocks`` than the encoder has.
    """
    encoder.requires_grad_(False)
    match tune:
        case "linear":
            pass
        case "lora":
            _put_adapters(encoder, rank)
        case "last-blocks":
            layers: list[nn.Module] = list(encoder.blocks)  # type: ignore[arg-type]
            if blocks > len(layers):
                raise RequestError(f"blocks {blocks}: the encoder has {len(layers)}: take fewer, or tune full")
            for layer in (*layers[-blocks:], encoder.norm):
                layer.requires_grad_(True)  # type: ignore[operator]
        case "full":
            encoder.requires_grad_(True)
    return encoder


def _put_adapters(encoder: nn.Module, rank: int) -> None:
    """LoRA (Hu et al. 2022) on the attention's projections, scaled by 2 as its authors' α = 2r."""
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=LORA_TARGETS), encoder)


def fold_adapters(encoder: nn.Module) -> None:
    """Add every adapter to the weight it adapts and take it out; the encoder has its own names and shapes again."""
    adapted = [(name, module) for name, module in encoder.named_modules() if hasattr(module, "lora_A")]
    for name, module in adapted:
        module.merge(safe_merge=True)  # type: ignore[operator]
        encoder.set_submodule(name, module.get_base_layer())  # type: ignore[operator]


def load_tuned(classifier: PatchClassifier, state: Mapping[str, Tensor], where: str) -> None:
    """Put trained parameters into the encoder, which must be exactly those that its ``tune`` trains.

    Raises:
        DataError: naming the first key that is missing, surplus or of another shape.
    """
    wanted = classifier.encoder_state()
    for problem, keys in (("lacks", wanted.keys() - state.keys()), ("has besides", state.keys() - wanted.keys())):
        if keys:
            raise DataError(f"{where}: it {problem} {sorted(keys)[0]!r}: it was not trained with tune {classifier.tune}")
    for name, value in state.items():
        if value.shape != wanted[name].shape:
            raise DataError(f"{where}: {name!r} has the shape {tuple(value.shape)}, not {tuple(wanted[name].shape)}")
        wanted[name].copy_(value)


def serving_encoder(classifier: PatchClassifier, device: torch.device, precision: Precision = "float16") -> Encoder:
    """The tuned encoder as one that embeds patches; on a CPU float16 means float32."""
    return Encoder(classifier.card, classifier.plain_encoder(), device, precision)
