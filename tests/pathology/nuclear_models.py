"""Lizard models of random weights over the tiny encoder, and pictures for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pathology.contracts.code import Code
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from pathology.contracts.lizard.train import TrainLizard
from pathology.encoders.encoder import load_encoder
from PIL import Image

from tests.made import made_once

if TYPE_CHECKING:
    from pathology.tasks.lizard.model import NuclearUnet

WIDTH, RANK = 4, 2
VALIDATION = {"patches": 3, "loss": 1.5, "iou": 0.5, "dice": 0.6, "pq": 0.4, "epoch": 2}


def network(encoder: Path, fine_tuning: Literal["frozen", "lora"] = "frozen", seed: int = 0) -> NuclearUnet:
    """One whose trained parameters are not where they started; ``encoder`` is the folder of the tiny one."""
    import torch
    from pathology.tasks.lizard.model import NuclearUnet

    base = load_encoder(encoder, precision="float32")
    net = NuclearUnet(base, len(LIZARD_CLASSES), WIDTH, fine_tuning, RANK, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in net.parameters():
            if value.requires_grad:
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return net.eval()


def save(folder: Path, net: NuclearUnet, code: Code | None = None, **changes: Any) -> Path:
    """Save a network as its artefact; the artefact's folder."""
    from pathology.contracts.learned_from import LearnedFrom
    from pathology.tasks.lizard.artefact import Validation, save_lizard

    settings = TrainLizard(fine_tuning=net.fine_tuning, rank=RANK, width=WIDTH)
    given: dict[str, Any] = {
        "classes": LIZARD_CLASSES,
        "settings": settings,
        "validation": Validation(**VALIDATION),
        "inputs": {"patches": "c" * 64},
        "learned_from": LearnedFrom.of([], {}).pack(),
        "code": code or Code({}),
    }
    save_lizard(folder, net, **{**given, **changes})
    return folder


def make_endpoint(root: Path, fine_tuning: Literal["frozen", "lora"]) -> None:
    """What an endpoint finds in /opt/ml: a packed model of random weights with the code that serves it, and the tiny encoder."""
    from pathology.artefact import ADDITIONAL_MODEL
    from pathology.encoders.tiny import make_tiny_encoder
    from pathology.serving.code import endpoint_code
    from pathology.tasks.lizard import serving

    make_tiny_encoder(root / ADDITIONAL_MODEL)
    save(root / "model", network(root / ADDITIONAL_MODEL, fine_tuning), endpoint_code(serving.__name__))


def make_frozen(root: Path) -> None:
    """An endpoint whose encoder is as it was."""
    make_endpoint(root, "frozen")


def make_adapted(root: Path) -> None:
    """An endpoint whose encoder has adapters: its start takes longer, as the library for these does."""
    make_endpoint(root, "lora")


@cache
def endpoint_root(fine_tuning: Literal["frozen", "lora"] = "frozen") -> Path:
    """A folder that :func:`make_endpoint` made, to be read only."""
    return made_once(f"endpoint-lizard-{fine_tuning}", make_adapted if fine_tuning == "lora" else make_frozen)


def picture(seed: int, height: int = 256, width: int = 256, grain: int = 16) -> np.ndarray:
    """Blots of ``grain`` px, (height, width, 3) uint8: more like tissue than noise is, and as small as a real picture's PNG."""
    coarse = np.random.default_rng(seed).integers(0, 256, (-(-height // grain) + 1, -(-width // grain) + 1, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
