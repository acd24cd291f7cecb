"""Serving mhist's classifier: the four functions of SageMaker's toolkit. Evaluation and the endpoint call exactly these."""

from __future__ import annotations

from pathlib import Path

import torch

from pathology.artefact import encoder_folder
from pathology.patches.artefact import PatchModel, load_model
from pathology.patches.serving import (
    ANSWERS,
    BATCH,
    BATCH_BYTES,
    FETCHING,
    TAKES,
    input_fn,
    media_type,
    output_fn,
    predict_fn,
    proof,
)
from pathology.tasks.mhist.artefact import MhistConfig

__all__ = [
    "ANSWERS",
    "BATCH",
    "BATCH_BYTES",
    "FETCHING",
    "TAKES",
    "input_fn",
    "media_type",
    "model_fn",
    "output_fn",
    "predict_fn",
    "proof",
]


def model_fn(model_dir: str | Path, encoder: str | Path | None = None) -> PatchModel[MhistConfig]:
    """Load the unpacked artefact; the ``encoder``'s folder is where the environment or the endpoint has it unless given.

    Raises:
        DataError: when the artefact or the encoder is not whole, or they do not belong together.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_model(Path(model_dir), encoder_folder(encoder), MhistConfig, device)
