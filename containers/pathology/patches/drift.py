"""What a patch classifier learnt from looks like: patches by the embedding that its head gets, and by their colours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from pathology.colours import colours_of
from pathology.contracts.drift import DriftBaseline, Embeddings
from pathology.contracts.encoder import EncoderManifest
from pathology.patches.dataset import Patches
from pathology.training.drift import colours, reference

OF: Final = "class token of the model's own encoder, fine-tuned where the model is: what its head gets"
PIXELS: Final = "all of the patch, resized as for the model"


def prepared_by(manifest: EncoderManifest) -> str:
    """A hash of how patches are prepared for the encoder: side in px, mean and standard deviation."""
    what = json.dumps([manifest.pixels, manifest.mean, manifest.std])
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def drift_baseline(
    patches: Patches,
    taken: np.ndarray,
    embeddings: np.ndarray,
    manifest: EncoderManifest,
    splits: Sequence[Literal["train", "validation"]],
) -> DriftBaseline:
    """Of the patches ``taken`` (n,), by number, whose ``embeddings`` (n, D) are the model's.

    Raises:
        DataError: for a patch that cannot be read.
    """
    known = {row.group for row in patches.rows if row.group}
    return DriftBaseline(
        encoder=manifest.name,
        encoder_sha256=manifest.sha256,
        settings_hash=prepared_by(manifest),
        splits=tuple(splits),
        unit="patches",
        items=len(patches),
        taken=len(taken),
        groups={"groups": len(known)} if known else {},
        embeddings=Embeddings(of=OF, **reference(embeddings).model_dump()),
        colours=colours([colours_of(patches[index]) for index in taken], "patches", PIXELS),
    )
