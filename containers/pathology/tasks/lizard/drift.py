"""What lizard's model learnt from looks like: patches by the mean of the deepest features, and by their colours."""

from __future__ import annotations

import hashlib
import json
from typing import Final

import numpy as np
import torch

from pathology.colours import colours_of
from pathology.contracts.drift import DriftBaseline, Embeddings
from pathology.tasks.lizard.artefact import MPP, SIDE
from pathology.tasks.lizard.dataset import Nuclei
from pathology.tasks.lizard.model import NuclearUnet
from pathology.training.drift import colours, drawn, reference
from pathology.training.epochs import VALIDATION_BATCH

OF: Final = "mean over the patch of the deepest features of the model's own encoder, adapters included"
PIXELS: Final = "all of the patch"


def drift_baseline(net: NuclearUnet, nuclei: Nuclei, seed: int, device: torch.device) -> DriftBaseline:
    """Of patches of ``nuclei`` that ``seed`` draws; ``net`` is moved to ``device`` and evaluated. One pass without gradients."""
    taken, manifest = drawn(len(nuclei), seed), net.manifest
    net.to(device).eval()
    found: list[np.ndarray] = []
    seen: list[tuple[float, ...]] = []
    for start in range(0, len(taken), VALIDATION_BATCH):
        pictures = np.stack([nuclei.image(index) for index in taken[start : start + VALIDATION_BATCH]])
        seen.extend(colours_of(picture) for picture in pictures)
        with torch.inference_mode():
            found.append(net.pooled(torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)).cpu().numpy())
    prepared = json.dumps([SIDE, MPP, manifest.mean, manifest.std])
    return DriftBaseline(
        encoder=manifest.name,
        encoder_sha256=manifest.sha256,
        settings_hash=hashlib.sha256(prepared.encode()).hexdigest()[:16],
        splits=("train",),
        unit="patches",
        items=len(nuclei),
        taken=len(taken),
        groups={"source images": len({row.source for row in nuclei.rows})},
        embeddings=Embeddings(of=OF, **reference(np.concatenate(found)).model_dump()),
        colours=colours(seen, "patches", PIXELS),
    )
