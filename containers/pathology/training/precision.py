"""The arithmetic that training computes in."""

from __future__ import annotations

from typing import Literal

import torch

from pathology.contracts.errors import RequestError
from pathology.encoders.encoder import Precision


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
