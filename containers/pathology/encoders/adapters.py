"""Which of an encoder's parameters each way of fine-tuning trains, and low-rank adapters put in and merged."""

from __future__ import annotations

from torch import nn

from pathology.contracts.errors import RequestError
from pathology.contracts.fine_tuning import FineTuning

LORA_TARGETS = ["attn.qkv", "attn.proj"]
"""timm's names in every block; ``attn.`` keeps the patch embedding's ``proj`` out."""


def set_trainable(encoder: nn.Module, fine_tuning: FineTuning, rank: int, blocks: int) -> nn.Module:
    """Give gradients to what ``fine_tuning`` trains, after putting adapters in for ``lora``; the same module.

    Raises:
        RequestError: for more ``blocks`` than the encoder has.
    """
    encoder.requires_grad_(False)
    match fine_tuning:
        case "linear":
            pass
        case "lora":
            inject_adapters(encoder, rank)
        case "last-blocks":
            layers: list[nn.Module] = list(encoder.blocks)  # type: ignore[arg-type]
            if blocks > len(layers):
                raise RequestError(f"blocks {blocks}: the encoder has {len(layers)}: take fewer, or fine-tune full")
            for layer in (*layers[-blocks:], encoder.norm):
                layer.requires_grad_(True)  # type: ignore[operator]
        case "full":
            encoder.requires_grad_(True)
    return encoder


def inject_adapters(encoder: nn.Module, rank: int) -> None:
    """LoRA (Hu et al. 2022) on the attention's projections, scaled by 2 as its authors' α = 2r."""
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=LORA_TARGETS), encoder)


def merge_adapters(encoder: nn.Module) -> None:
    """Add every adapter to the weight it adapts and take it out; the encoder has its own names and shapes again."""
    adapted = [(name, module) for name, module in encoder.named_modules() if hasattr(module, "lora_A")]
    for name, module in adapted:
        module.merge(safe_merge=True)  # type: ignore[operator]
        encoder.set_submodule(name, module.get_base_layer())  # type: ignore[operator]
