"""A tiny encoder of H-optimus-0's family with seeded random weights: for tests and demos, and it says so wherever it goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.hashes import sha256_of
from pathology.contracts.storage import atomic_write, temp_sibling
from pathology.encoders.encoder import H_OPTIMUS_0_ARCHITECTURE, build

NAME = "tiny-seeded"
REMARK = "a seeded random encoder for tests and demos only: its figures say nothing about H-optimus-0"
ARGUMENTS: dict[str, object] = {
    "img_size": 224, "num_classes": 0, "init_values": 1.0, "dynamic_img_size": False,
    "embed_dim": 48, "depth": 2, "num_heads": 3,
}  # fmt: skip
"""14 px patches, 4 registers and SwiGLU stay; LayerScale is 1, since at 1e-5 random blocks would hide the image from CLS."""


def make_tiny_encoder(folder: Path, seed: int = 0) -> EncoderManifest:
    """Write checkpoint.pth and encoder.json to ``folder``; the same ``seed`` gives the same bytes."""
    import torch

    manifest = EncoderManifest(
        name=NAME if seed == 0 else f"{NAME}-{seed}",
        architecture=H_OPTIMUS_0_ARCHITECTURE,
        arguments=ARGUMENTS,
        sha256="0" * 64,
        dimension=int(str(ARGUMENTS["embed_dim"])),
        placeholder=True,
        remark=REMARK,
    )
    generator = np.random.default_rng(seed)
    weights = {
        key: torch.from_numpy(_initial(key, tuple(tensor.shape), generator))
        for key, tensor in sorted(build(manifest).state_dict().items())
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / manifest.checkpoint
    temporary = temp_sibling(path)
    try:
        with temporary.open("wb") as file:  # a stream, so that the archive inside does not carry the temporary name
            torch.save(weights, file)
        manifest = manifest.model_copy(update={"sha256": sha256_of(temporary)})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    atomic_write(folder / MANIFEST, manifest.to_json())
    return manifest


def _initial(key: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Weights that keep the variance of their input (LeCun et al. 1998); norms and LayerScale 1, biases 0."""
    if len(shape) == 1:
        return np.full(shape, 0.0 if key.endswith("bias") else 1.0, np.float32)
    fan_in = shape[-1] if "token" in key or "pos_embed" in key else int(np.prod(shape[1:]))
    return generator.normal(0.0, fan_in**-0.5, shape).astype(np.float32)
