"""Serving the patch classifier: the four functions of SageMaker's toolkit. Evaluation and the endpoint call exactly these.

A request is one patch as PNG or JPEG; the answer is ``{"label", "probability", "threshold", "model_version"}`` as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pathology.contracts.errors import RequestError
from pathology.contracts.media import IMAGES, JSON
from pathology.images import decode_image, resize_square
from pathology.job import OPT_ML, ROOT_VARIABLE
from pathology.models.mhist_artefact import MhistModel, load_mhist

MOST_PIXELS = 2048 * 2048
"""Of one picture, refused by its header: sixteen decoded at once stay below 200 MB."""
SIDE = 224
"""px: what H-optimus-0 takes; a patch of another side is resized while it is parsed, so that none waits in full size."""
ENCODER_VARIABLE = "PATHOLOGY_ENCODER"
ADDITIONAL_MODEL = "additional-model-data-sources/encoder"
"""Below /opt/ml: where an endpoint finds the encoder that the model version names."""


def model_fn(model_dir: str | Path, encoder: str | Path | None = None) -> MhistModel:
    """Load the unpacked artefact; the ``encoder``'s folder is where the environment or the endpoint has it unless given.

    Raises:
        DataError: when the artefact or the encoder is not whole, or they do not belong together.
    """
    if encoder is None:
        root = Path(os.environ.get(ROOT_VARIABLE, OPT_ML))
        encoder = os.environ.get(ENCODER_VARIABLE) or root / ADDITIONAL_MODEL
    return load_mhist(Path(model_dir), Path(encoder), "cuda" if torch.cuda.is_available() else "cpu")


def input_fn(body: bytes, content_type: str = IMAGES[0], side: int = SIDE) -> np.ndarray:
    """Decode a request: (side, side, 3) uint8 RGB.

    Raises:
        RequestError: for another content type.
        DataError: for bytes that are no plain PNG or JPEG, a patch that is not square, or one of more than MOST_PIXELS.
    """
    if content_type.partition(";")[0].strip().lower() not in IMAGES:
        raise RequestError(f"content type {content_type!r}: send {' or '.join(IMAGES)}")
    return resize_square(decode_image(body, where="the patch", max_pixels=MOST_PIXELS), side, where="the patch")


def predict_fn(patches: Sequence[np.ndarray], model: MhistModel) -> list[dict[str, Any]]:
    """One answer for each patch, all through the encoder together.

    Raises:
        DataError: for a patch of another shape than :func:`input_fn` gives.
    """
    if not patches:
        return []
    side = model.config.pixels
    batch = np.stack([resize_square(patch, side, where="the patch") for patch in patches])
    return [answer(float(probability), model) for probability in model.probabilities(batch)]


def answer(probability: float, model: MhistModel) -> dict[str, Any]:
    """What is said of a patch with this ``probability`` of class 1."""
    config = model.config
    return {
        "label": config.labels[int(probability >= config.threshold)],
        "probability": probability,
        "threshold": config.threshold,
        "model_version": model.version,
    }


def output_fn(prediction: dict[str, Any], accept: str = JSON) -> bytes:
    """The answer as JSON.

    Raises:
        RequestError: when the caller wants another type.
    """
    if not any(kind.partition(";")[0].strip().lower() in {JSON, "application/*", "*/*", ""} for kind in accept.split(",")):
        raise RequestError(f"accept {accept!r}: the answer is {JSON}")
    return json.dumps(prediction, allow_nan=False).encode()
