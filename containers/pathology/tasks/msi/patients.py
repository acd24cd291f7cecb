"""A patient as a request names him: the slides' feature files by URI and hash, fetched, checked and pooled to one bag."""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pathology.contracts.cohort import SlideId
from pathology.contracts.errors import DataError
from pathology.contracts.hashes import Sha256
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri, UriText
from pathology.serving.named import NamedError, UnavailableError
from pathology.storage import ROOT_VARIABLE, open_store
from pathology.tasks.msi.artefact import MsiConfig
from pathology.tasks.msi.dataset import check_origin
from pathology.wsi.features import Features, read_features

MAX_SLIDES = 64
_OPENING = Lock()


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
class Place:
    """Where a slide's tiles lie: their upper left corners ``coords`` (N, 2) int64 and their ``side``, in level-0 px; None where the
    feature file does not say how large a tile is."""

    slide_id: str
    coords: np.ndarray
    side: float | None

    @classmethod
    def of(cls, slide_id: str, slide: Features) -> Place:
        """By what extraction noted on the file."""
        side = slide.grid.get("patch_side_level0", slide.grid.get("patch_size_level0"))
        if not isinstance(side, int | float) or not math.isfinite(side) or side <= 0:
            return cls(slide_id, slide.coords, None)
        return cls(slide_id, slide.coords, float(side))


@dataclass(frozen=True)
class Bag:
    """All tiles of a patient: their ``features`` (N, D) float16, slide after slide as ``places`` has them."""

    features: np.ndarray
    tiles: Tiles
    places: tuple[Place, ...]

    @property
    def nbytes(self) -> int:
        """Of the features."""
        return self.features.nbytes


def size(request: PatientRequest) -> int:
    """Bytes of all feature files of a request, none of which is opened.

    Raises:
        NamedError: naming the slide whose file is not there or may not be read.
        UnavailableError: when the storage does not answer.
    """
    store, total = _store(), 0
    for number, slide in enumerate(request.slides, 1):
        with _said_of(slide, f"slide {number} of {len(request.slides)}"):
            entry = store.entry(_object(slide))
            if entry is None:
                raise DataError(f"{slide.features}: there is no such object")
            total += entry.bytes
    return total


def fetch(request: PatientRequest, config: MsiConfig) -> Bag:
    """The patient's features, each file held against its hash before it is opened, and against what the model was trained on.

    Raises:
        NamedError: naming the slide whose features are gone, changed, or not made as the model's were.
        UnavailableError: when the storage does not answer.
    """
    store = _store()
    slides = []
    with tempfile.TemporaryDirectory() as folder:
        for number, slide in enumerate(request.slides, 1):
            path, where = Path(folder) / f"{number}.h5", f"slide {number} of {len(request.slides)}"
            with _said_of(slide, where):
                store.download(_object(slide), path)
            try:
                features = read_features(path, slide.slide_id, slide.sha256)
            except DataError as error:
                raise NamedError(str(error), f"{where}: its feature file is not the one with that hash, or not whole") from None
            try:
                check_origin(features, slide.slide_id, config.encoder, config.settings_hash)
            except DataError as error:
                raise NamedError(str(error), f"{where}: its features were not made as the model's were") from None
            slides.append(features)
            path.unlink()
    places = tuple(Place.of(named.slide_id, slide) for named, slide in zip(request.slides, slides, strict=True))
    return Bag(np.concatenate([slide.features for slide in slides]), Tiles.of(slides), places)


def _object(slide: SlideFeatures) -> Uri:
    uri = Uri.parse(slide.features)
    if not uri.path:
        raise DataError(f"{uri}: it names no object")
    return uri


def _store() -> Store:
    """One for the process, and not a connection to S3 a request. Threads ask, and boto3 makes clients in one at a time only."""
    with _OPENING:
        return _opened(os.environ.get(ROOT_VARIABLE))


@lru_cache(maxsize=1)
def _opened(root: str | None) -> Store:
    """``root`` is the variable that decides which."""
    return open_store()


@contextmanager
def _said_of(slide: SlideFeatures, where: str) -> Iterator[None]:
    """A failure to reach a slide's file says whose, and for a log ``where`` in the request."""
    again = "extract it again, or give the URI that slides.csv has"
    try:
        yield
    except DataError as error:
        text = f"slide {slide.slide_id}: its feature file is gone ({error}): {again}"
        raise NamedError(text, f"{where}: its feature file is gone") from None
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        if 400 <= status < 500 and status not in (408, 429):
            text = f"slide {slide.slide_id}: its feature file may not be read by this endpoint: let its role read it, or give another URI"
            raise NamedError(text, f"{where}: its feature file may not be read") from None
        raise UnavailableError("the storage of the features does not answer now: try again in a second") from error


def _status(error: Exception) -> int | None:
    """The HTTP status that S3 answered, 503 where it did not answer at all; None for anything else than a failure to read.

    S3's errors by their shape and module: where a run is local there is no boto3 to ask.
    """
    if isinstance(error, OSError):
        return 403 if error.errno in (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG) else None
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "ResponseMetadata" in response:
        return int(response["ResponseMetadata"].get("HTTPStatusCode", 503))
    return 503 if type(error).__module__.partition(".")[0] in ("boto3", "botocore", "s3transfer") else None
