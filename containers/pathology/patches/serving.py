"""Serving a patch classifier of any task: SageMaker's functions but for loading, which needs the task's configuration.

A request is one patch as PNG or JPEG; the answer is ``{"label", "probability", "threshold", "model_version"}`` as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from pathology.contracts.errors import RequestError
from pathology.contracts.media import IMAGES, JSON
from pathology.images import decode_image, resize_square
from pathology.patches.artefact import PatchModel
from pathology.serving.accept import agree

MAX_PIXELS = 2048 * 2048
"""Of one picture, refused by its header: sixteen decoded at once stay below 200 MB."""
SIDE = 224
"""px: what H-optimus-0 takes; a patch of another side is resized while it is parsed, so that none waits in full size."""
BATCH, BATCH_BYTES = 64, 64 * SIDE * SIDE * 3
"""Patches that go through the model together, and their size."""
TAKES, ANSWERS = IMAGES, (JSON,)
FETCHING = None
"""A request holds its patch."""


def input_fn(body: bytes, content_type: str = IMAGES[0], side: int = SIDE) -> np.ndarray:
    """Decode a request: (side, side, 3) uint8 RGB.

    Raises:
        RequestError: for another content type.
        DataError: for bytes that are not a plain PNG or JPEG, a patch that is not square, or one of more than MAX_PIXELS.
    """
    if content_type.partition(";")[0].strip().lower() not in IMAGES:
        raise RequestError(f"content type {content_type!r}: send {' or '.join(IMAGES)}")
    return resize_square(decode_image(body, where="the patch", max_pixels=MAX_PIXELS), side, where="the patch")


def predict_fn(patches: Sequence[np.ndarray], model: PatchModel[Any]) -> list[dict[str, Any]]:
    """One answer for each patch, all through the encoder together.

    Raises:
        DataError: for a patch of another shape than :func:`input_fn` gives.
    """
    if not patches:
        return []
    side = model.config.pixels
    batch = np.stack([resize_square(patch, side, where="the patch") for patch in patches])
    return [answer(float(probability), model) for probability in model.probabilities(batch)]


def answer(probability: float, model: PatchModel[Any]) -> dict[str, Any]:
    """What is said of a patch with this ``probability`` of class 1."""
    config = model.config
    return {
        "label": config.labels[int(probability >= config.threshold)],
        "probability": probability,
        "threshold": config.threshold,
        "model_version": model.version,
    }


def proof(model: PatchModel[Any]) -> np.ndarray:
    """A white patch, that a starting endpoint is proven on."""
    return np.full((SIDE, SIDE, 3), 255, np.uint8)


def media_type(accept: str) -> str:
    """The content type of the answer to a request with this Accept header: JSON.

    Raises:
        RequestError: when the caller wants another.
    """
    return agree(accept, ANSWERS)


def output_fn(prediction: dict[str, Any], accept: str = JSON) -> bytes:
    """The answer as JSON.

    Raises:
        RequestError: when the caller wants another type.
    """
    media_type(accept)
    return json.dumps(prediction, allow_nan=False).encode()
