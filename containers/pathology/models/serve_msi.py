"""Serving the msi ensemble: the four functions of SageMaker's toolkit. Evaluation calls exactly these.

A request is one patient: ``{"slides": [{"slide_id": …, "features": "s3://…/x.h5", "sha256": …}]}``; features come from the
extraction step, with the encoder and the settings that the model was trained with.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.features import Sha256
from pathology.contracts.media import JSON
from pathology.contracts.settings import explain
from pathology.contracts.tables import SlideId
from pathology.contracts.uris import Uri, UriText
from pathology.models.artefact import Artefact, load_artefact
from pathology.storage import open_store
from pathology.wsi.features import Features, read_features

MAXIMUM_SLIDES = 64
MAXIMUM_BODY = 2**20
"""A slide's line is some 400 bytes."""


class SlideFeatures(BaseModel):
    """Where a slide's features lie, and the hash they must have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slide_id: SlideId
    features: UriText
    sha256: Sha256


class PatientRequest(BaseModel):
    """All slides of one patient."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slides: Annotated[tuple[SlideFeatures, ...], Field(min_length=1, max_length=MAXIMUM_SLIDES)]


@dataclass(frozen=True)
class Prediction:
    """One patient: the ensemble's mean probability, the folds' own, and the model that said so."""

    probability: float
    fold_probabilities: tuple[float, ...]
    artefact: Artefact


def model_fn(model_dir: str | Path) -> Artefact:
    """Load the unpacked artefact.

    Raises:
        DataError: when it is not whole.
    """
    artefact = load_artefact(Path(model_dir))
    if torch.cuda.is_available():
        for model in artefact.models:
            model.cuda()
    return artefact


def input_fn(body: bytes | str, content_type: str = JSON) -> PatientRequest:
    """Parse a request.

    Raises:
        RequestError: for another content type, too large a body, or JSON that is no request.
    """
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise RequestError(f"content type {content_type!r}: send {JSON}")
    if len(body) > MAXIMUM_BODY:
        raise RequestError(f"the request has {len(body):,} bytes, at most {MAXIMUM_BODY:,} are read")
    try:
        request = PatientRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(explain(error, "request")) from None
    if len({slide.slide_id for slide in request.slides}) < len(request.slides):
        raise RequestError("request: a slide stands there twice")
    return request


def predict_fn(request: PatientRequest, artefact: Artefact) -> Prediction:
    """Fetch and check the patient's features, pool all tiles in one bag, average the folds' probabilities.

    Raises:
        DataError: naming the slide whose features are gone, changed, or not made as the model's were.
    """
    store = open_store()
    bags = []
    with tempfile.TemporaryDirectory() as folder:
        for number, slide in enumerate(request.slides):
            path = Path(folder) / f"{number}.h5"
            try:
                store.download(Uri.parse(slide.features), path)
            except DataError as error:
                raise DataError(f"slide {slide.slide_id}: its feature file is gone ({error}): extract it again") from None
            features = read_features(path, slide.slide_id, slide.sha256)
            _check(features, slide.slide_id, artefact)
            bags.append(features.features)
            path.unlink()
    tiles = torch.from_numpy(np.concatenate(bags))
    folds = tuple(model.probability(tiles) for model in artefact.models)
    return Prediction(float(np.mean(folds)), folds, artefact)


def _check(features: Features, slide_id: str, artefact: Artefact) -> None:
    encoder = artefact.config.encoder
    said = features.attributes
    if said.get("checkpoint_sha256") != encoder.sha256:
        raise DataError(
            f"slide {slide_id}: its features are by encoder {said.get('encoder', 'unknown')}, and the model was trained on "
            f"{encoder.name} (sha256 {encoder.sha256[:12]}…): extract with that one"
        )
    if said.get("settings_hash") != artefact.config.settings_hash:
        raise DataError(
            f"slide {slide_id}: its features were made with settings {said.get('settings_hash')}, and the model was trained on "
            f"{artefact.config.settings_hash}: extract with those"
        )
    if features.features.shape[1] != encoder.dimension:
        raise DataError(f"slide {slide_id}: its features have {features.features.shape[1]} dimensions, not {encoder.dimension}")


def output_fn(prediction: Prediction, accept: str = JSON) -> bytes:
    """The answer as JSON.

    Raises:
        RequestError: when the caller wants another type.
    """
    if not any(kind.partition(";")[0].strip().lower() in {JSON, "application/*", "*/*", ""} for kind in accept.split(",")):
        raise RequestError(f"accept {accept!r}: the answer is {JSON}")
    config = prediction.artefact.config
    answer: dict[str, Any] = {
        "probability": prediction.probability,
        "label": config.labels[int(prediction.probability >= config.threshold)],
        "threshold": config.threshold,
        "fold_probabilities": list(prediction.fold_probabilities),
        "encoder": config.encoder.model_dump(),
        "model": {"task": config.task, "sha256": prediction.artefact.sha256, "format_version": config.format_version},
    }
    return json.dumps(answer, allow_nan=False).encode()
