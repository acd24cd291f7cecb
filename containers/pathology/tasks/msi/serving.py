"""Serving the msi ensemble: the four functions of SageMaker's toolkit, and what its endpoint calls. Evaluation calls exactly these.

A request is one patient: ``{"slides": [{"slide_id": …, "features": "s3://…/x.h5", "sha256": …}]}``; features come from the
extraction step, with the encoder and the settings that the model was trained with. The answer is JSON, or the attention on each tile
as GeoJSON for QuPath.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from pathology.contracts.errors import RequestError
from pathology.contracts.media import ATTENTION, GEOJSON, JSON, MAX_BODY
from pathology.contracts.settings import explain
from pathology.host import memory
from pathology.serving.accept import agree
from pathology.serving.named import Fetching
from pathology.tasks.msi.artefact import Ensemble, load_ensemble
from pathology.tasks.msi.attention import attention_geojson
from pathology.tasks.msi.dataset import mean_of_tiles
from pathology.tasks.msi.patients import Bag, PatientRequest, Place, Tiles, fetch, size

MAX_REQUEST = 2**20
"""bytes: a slide's line is some 400."""
HELD = max(96 * 2**20, memory() // 16)
"""bytes of feature files of all patients that are fetched or wait. While one is fetched it is held up to three times, as a file, parsed and
pooled; the one that is worked on takes four times as much again (seen with 20,000 tiles of 1,536): half precision becomes single, and is
standardised."""
BATCH, BATCH_BYTES = 1, HELD
"""Patients have bags of different sizes: each goes through the model alone, as in an evaluation."""
TAKES, ANSWERS = (JSON,), ATTENTION
PROVEN_TILES = 4
"""Of the patient that a starting endpoint is proven on."""


@dataclass(frozen=True)
class Prediction:
    """One patient: the ensemble's probability, the folds' own, the tiles seen, and the model that said so.

    ``attention`` (K, N) float32 is each fold's on the tiles of all ``places``. ``tile_mean`` (D,) is of the tiles' features;
    evaluations ask for it, no answer has it.
    """

    probability: float
    fold_probabilities: tuple[float, ...]
    tiles: Tiles
    ensemble: Ensemble
    tile_mean: np.ndarray
    attention: np.ndarray
    places: tuple[Place, ...]

    @property
    def said(self) -> dict[str, Any]:
        """What every answer says first."""
        config = self.ensemble.config
        return {
            "probability": self.probability,
            "label": config.labels[int(self.probability >= config.threshold)],
            "threshold": config.threshold,
            "operating_points": {point.name: point.threshold for point in config.operating_points},
            "decided_by": [point.name for point in config.operating_points if point.threshold == config.threshold],
            "fold_probabilities": list(self.fold_probabilities),
            "fold_std": float(np.std(self.fold_probabilities)),
            "tiles": asdict(self.tiles),
            "model_version": self.ensemble.version,
        }


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
    if len(body) > MAX_REQUEST:
        raise RequestError(f"the request has {len(body):,} bytes, at most {MAX_REQUEST:,} are read")
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
        UnavailableError: when the storage does not answer.
    """
    (prediction,) = predict([fetch(request, ensemble.config)], ensemble)
    return prediction


def predict(bags: Sequence[Bag], ensemble: Ensemble) -> list[Prediction]:
    """One prediction for each patient."""
    return [_predict(bag, ensemble) for bag in bags]


def _predict(bag: Bag, ensemble: Ensemble) -> Prediction:
    tiles = torch.from_numpy(bag.features)
    logits, attentions = zip(*(model.read(tiles) for model in ensemble.models), strict=True)
    probability, folds = ensemble.probabilities(logits)
    attention = torch.stack(attentions).numpy()
    return Prediction(probability, folds, bag.tiles, ensemble, mean_of_tiles(bag.features), attention, bag.places)


FETCHING = Fetching(size=size, fetch=lambda request, ensemble: fetch(request, ensemble.config), predict=predict, held=HELD)


def proof(ensemble: Ensemble) -> Bag:
    """A made-up patient of a few tiles, all zero, that a starting endpoint is proven on."""
    features = np.zeros((PROVEN_TILES, ensemble.config.encoder.dimension), np.float16)
    place = Place("made-up", np.zeros((PROVEN_TILES, 2), np.int64), 1.0)
    return Bag(features, Tiles(PROVEN_TILES, PROVEN_TILES, 0, 0), (place,))


def media_type(accept: str) -> str:
    """The content type of the answer to a request with this Accept header; JSON unless it says otherwise.

    Raises:
        RequestError: when the caller wants none that there is.
    """
    return agree(accept, ANSWERS)


def output_fn(prediction: Prediction, accept: str = JSON) -> bytes:
    """The answer as JSON, or as GeoJSON with as many tiles, those with most attention first, as an endpoint may send.

    Raises:
        RequestError: as :func:`media_type`.
        DataError: for GeoJSON of a slide whose feature file does not say how large a tile is.
    """
    if media_type(accept) == GEOJSON:
        return attention_geojson(prediction.attention, prediction.places, MAX_BODY, **prediction.said)
    config = prediction.ensemble.config
    answer: dict[str, Any] = {
        **prediction.said,
        "encoder": {**config.encoder.model_dump(), "verified": config.encoder.verified},
        "model": {"task": config.task, "sha256": prediction.ensemble.sha256, "format_version": config.format_version},
    }
    return json.dumps(answer, allow_nan=False).encode()
