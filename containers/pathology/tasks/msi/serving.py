"""Serving the msi ensemble: the four functions of SageMaker's toolkit. Evaluation calls exactly these.

A request is one patient: ``{"slides": [{"slide_id": …, "features": "s3://…/x.h5", "sha256": …}]}``; features come from the
extraction step, with the encoder and the settings that the model was trained with.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pathology.contracts.cohort import SlideId
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.hashes import Sha256
from pathology.contracts.media import JSON
from pathology.contracts.settings import explain
from pathology.contracts.uris import Uri, UriText
from pathology.serving.accept import agree
from pathology.storage import open_store
from pathology.tasks.msi.artefact import Ensemble, load_ensemble
from pathology.tasks.msi.dataset import check_origin, mean_of_tiles
from pathology.wsi.features import Features, read_features

MAX_SLIDES = 64
MAX_BODY = 2**20
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

    slides: Annotated[tuple[SlideFeatures, ...], Field(min_length=1, max_length=MAX_SLIDES)]


@dataclass(frozen=True)
class Tiles:
    """What of a patient's tissue the model saw: tiles ``pooled`` out of those ``with_tissue``, of which ``failed`` could not be decoded.

    ``sampled`` slides are those of which extraction took a sample. What a feature file does not say is None.
    """

    pooled: int
    with_tissue: int | None
    failed: int | None
    sampled: int | None

    @classmethod
    def of(cls, slides: Sequence[Features]) -> Tiles:
        """By what extraction noted on the slides' files."""
        pooled = [len(slide.features) for slide in slides]
        found, failed = ([slide.attributes.get(name) for slide in slides] for name in ("tiles_with_tissue", "tiles_failed"))
        if not all(isinstance(count, int) for count in (*found, *failed)):
            return cls(sum(pooled), None, None, None)
        counts = np.array([pooled, found, failed], dtype=np.int64)
        sampled = int((counts[0] + counts[2] < counts[1]).sum())
        total, with_tissue, not_decoded = counts.sum(axis=1).tolist()
        return cls(total, with_tissue, not_decoded, sampled)


@dataclass(frozen=True)
class Prediction:
    """One patient: the ensemble's probability, the folds' own, the tiles seen, and the model that said so.

    ``tile_mean`` (D,) is of the tiles' features; evaluations ask for it, no answer has it.
    """

    probability: float
    fold_probabilities: tuple[float, ...]
    tiles: Tiles
    ensemble: Ensemble
    tile_mean: np.ndarray


def model_fn(model_dir: str | Path) -> Ensemble:
    """Load the unpacked artefact.

    Raises:
        DataError: when it is not whole.
    """
    ensemble = load_ensemble(Path(model_dir))
    if torch.cuda.is_available():
        for model in ensemble.models:
            model.cuda()
    return ensemble


def input_fn(body: bytes | str, content_type: str = JSON) -> PatientRequest:
    """Parse a request.

    Raises:
        RequestError: for another content type, too large a body, or JSON that is not a request.
    """
    if content_type.partition(";")[0].strip().lower() != JSON:
        raise RequestError(f"content type {content_type!r}: send {JSON}")
    if len(body) > MAX_BODY:
        raise RequestError(f"the request has {len(body):,} bytes, at most {MAX_BODY:,} are read")
    try:
        request = PatientRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(explain(error, "request")) from None
    if len({slide.slide_id for slide in request.slides}) < len(request.slides):
        raise RequestError("request: a slide is duplicated")
    return request


def predict_fn(request: PatientRequest, ensemble: Ensemble) -> Prediction:
    """Fetch and check the patient's features, pool all tiles in one bag, make one probability of the folds' logits.

    Raises:
        DataError: naming the slide whose features are gone, changed, or not made as the model's were.
    """
    store = open_store()
    slides = []
    with tempfile.TemporaryDirectory() as folder:
        for number, slide in enumerate(request.slides):
            path = Path(folder) / f"{number}.h5"
            try:
                store.download(Uri.parse(slide.features), path)
            except DataError as error:
                raise DataError(f"slide {slide.slide_id}: its feature file is gone ({error}): extract it again") from None
            features = read_features(path, slide.slide_id, slide.sha256)
            check_origin(features, slide.slide_id, ensemble.config.encoder, ensemble.config.settings_hash)
            slides.append(features)
            path.unlink()
    pooled = np.concatenate([slide.features for slide in slides])
    tiles = torch.from_numpy(pooled)
    probability, folds = ensemble.probabilities([model.logit(tiles) for model in ensemble.models])
    return Prediction(probability, folds, Tiles.of(slides), ensemble, mean_of_tiles(pooled))


def media_type(accept: str) -> str:
    """The content type of the answer to a request with this Accept header: JSON.

    Raises:
        RequestError: when the caller wants another.
    """
    return agree(accept, (JSON,))


def output_fn(prediction: Prediction, accept: str = JSON) -> bytes:
    """The answer as JSON.

    Raises:
        RequestError: when the caller wants another type.
    """
    media_type(accept)
    config = prediction.ensemble.config
    answer: dict[str, Any] = {
        "probability": prediction.probability,
        "label": config.labels[int(prediction.probability >= config.threshold)],
        "threshold": config.threshold,
        "fold_probabilities": list(prediction.fold_probabilities),
        "tiles": asdict(prediction.tiles),
        "model_version": prediction.ensemble.version,
        "encoder": {**config.encoder.model_dump(), "verified": config.encoder.verified},
        "model": {"task": config.task, "sha256": prediction.ensemble.sha256, "format_version": config.format_version},
    }
    return json.dumps(answer, allow_nan=False).encode()
