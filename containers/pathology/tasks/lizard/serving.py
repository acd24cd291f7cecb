"""Serving nuclear instances: the four functions of SageMaker's toolkit. Evaluation and the endpoint call exactly these.

A request is a picture at 0.5 µm/px, PNG or JPEG, from 32 px a side up to :data:`MAX_PIXELS`. The answer is GeoJSON for QuPath,
one polygon a nucleus in px of the picture, or a label map (H, W, 2) uint16 in CoNIC's layout as npy. The endpoint sends up to 6 MiB:
some 9,000 nuclei as GeoJSON, of about 700 bytes each, or 1.57 megapixels as npy.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pathology.artefact import encoder_folder
from pathology.contracts.errors import RequestError
from pathology.contracts.media import GEOJSON, IMAGES, NPY, NUCLEI
from pathology.geojson import dumps
from pathology.images import decode_image
from pathology.nuclei.classes import class_counts
from pathology.nuclei.outlines import features
from pathology.serving.accept import agree
from pathology.tasks.lizard.artefact import LizardModel, load_lizard
from pathology.tasks.lizard.prediction import MAX_WINDOWS, check_picture

MAX_PIXELS = 2048 * 2048
"""Of one picture, refused by its header: about a square millimetre. Seven at once were seen to need 600 MB, of which the one that is
worked on has most (maps of 40 bytes a px for 6 classes, and what the watershed makes of them)."""
SIDE = 256
"""px of the picture that a starting endpoint is proven on."""
BATCH, BATCH_BYTES = MAX_WINDOWS, MAX_WINDOWS * SIDE * SIDE * 3
"""Pictures that go through the model together, and their size: small ones fill a forward, a large one goes alone."""
TAKES, ANSWERS = IMAGES, NUCLEI
FETCHING = None
"""A request holds its picture."""


@dataclass(frozen=True)
class Prediction:
    """The nuclei of one picture: ``labels`` (H, W, 2) uint16 in CoNIC's layout, and of which model, at how many µm a px."""

    labels: np.ndarray
    classes: tuple[str, ...]
    model_version: str
    mpp: float

    def counts(self) -> dict[str, int]:
        """Nuclei of each class."""
        return dict(zip(self.classes, class_counts(self.labels, len(self.classes)).tolist(), strict=True))


def model_fn(model_dir: str | Path, encoder: str | Path | None = None) -> LizardModel:
    """Load the unpacked artefact; the ``encoder``'s folder is where the environment or the endpoint has it unless given.

    Raises:
        DataError: when the artefact or the encoder is not whole, or they do not belong together.
    """
    return load_lizard(Path(model_dir), encoder_folder(encoder), "cuda" if torch.cuda.is_available() else "cpu")


def input_fn(body: bytes, content_type: str = IMAGES[0]) -> np.ndarray:
    """Decode a request: (H, W, 3) uint8 RGB, its size as sent.

    Raises:
        RequestError: for another content type.
        DataError: for bytes that are not a plain PNG or JPEG, a side below 32 px, or more than MAX_PIXELS.
    """
    if content_type.partition(";")[0].strip().lower() not in IMAGES:
        raise RequestError(f"content type {content_type!r}: send {' or '.join(IMAGES)}")
    picture = decode_image(body, where="the picture", max_pixels=MAX_PIXELS)
    check_picture(picture)
    return picture


def predict_fn(pictures: Sequence[np.ndarray], model: LizardModel) -> list[Prediction]:
    """The nuclei of each picture, windows of all going through the network together.

    Raises:
        DataError: for a picture of another shape or type than :func:`input_fn` gives, or of more than 65,535 nuclei.
    """
    config = model.config
    return [Prediction(labels, config.classes, model.version, config.mpp) for labels in model.labels(pictures)]


def proof(model: LizardModel) -> np.ndarray:
    """A white picture, that a starting endpoint is proven on."""
    return np.full((SIDE, SIDE, 3), 255, np.uint8)


def media_type(accept: str) -> str:
    """The content type of the answer to a request with this Accept header; GeoJSON unless it says otherwise.

    Raises:
        RequestError: when the caller wants none that there is.
    """
    return agree(accept, ANSWERS)


def output_fn(prediction: Prediction, accept: str = GEOJSON) -> bytes:
    """GeoJSON, or the label map as npy, of which :func:`numpy.load` needs no pickle.

    Raises:
        RequestError: as :func:`media_type`.
    """
    if media_type(accept) == NPY:
        raw = io.BytesIO()
        np.save(raw, prediction.labels, allow_pickle=False)
        return raw.getvalue()
    about: dict[str, Any] = {"model_version": prediction.model_version, "mpp": prediction.mpp, "counts": prediction.counts()}
    return dumps(features(prediction.labels, prediction.classes, **about))
