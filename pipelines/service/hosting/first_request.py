"""The real request that a deployment ends with: a test item of the version, whose answer Evaluate wrote down, or a file of the person's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pathology.contracts.cohort import SlideRow
from pathology.contracts.comparison.reading import PATCH, Fields, StoredEvaluation
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.evaluation import EVALUATION, PREDICTIONS
from pathology.contracts.media import IMAGES, JSON
from pathology.contracts.msi.evaluate import SEPARATOR
from pathology.contracts.uris import Uri

from pipelines.service.hosting.asking import Answer, Endpoint, RefusedError
from pipelines.service.results import MODEL_VERSION
from pipelines.service.session import Session
from pipelines.service.version import Version
from pipelines.tasks import task_spec

SAMPLES = Path(__file__).parent / "samples"
LOOKED_AT = 5
"""Test items whose files are looked for, before there is said to be none."""
TOLERANCE = 0.01
"""Between the endpoint's probability and Evaluate's, on another kind of host or in another precision; a wider gap is another model."""


class WrongAnswerError(DataError):
    """The endpoint answers, and not as the version does that it is said to be."""


@dataclass(frozen=True)
class FirstRequest:
    """``what`` is sent, and the ``label`` and ``probability`` that Evaluate wrote of it, where it did."""

    what: str
    body: bytes
    content_type: str
    label: str | None = None
    probability: float | None = None


def first_request(session: Session, task: str, version: Version, sample: Path | None) -> FirstRequest:
    """The request to try an endpoint of ``version`` with: ``sample``, else a test item of the version, else the task's own sample.

    Raises:
        RequestError: when the sample cannot be sent, or there is nothing to send.
    """
    hosted = task_spec(task).hosted
    if sample is not None:
        return FirstRequest(str(sample), _read(sample), JSON if hosted.takes == "patients" else picture_type(sample.name))
    try:
        item = next(_test_items(session, task, version), None)
    except (DataError, RequestError):
        item = None
    if item is not None:
        return item
    if hosted.sample is None:
        raise RequestError(
            f"version {version.number}: none of its test items can be sent, since their data are gone: give --sample"
        )
    path = SAMPLES / hosted.sample
    return FirstRequest(f"the project's sample {path.name}", path.read_bytes(), picture_type(path.name))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestError(f"--sample {path}: cannot be read ({error.strerror})") from None


def picture_type(name: str) -> str:
    """The content type of a picture, by its name.

    Raises:
        RequestError: for what is no PNG or JPEG by its name.
    """
    kinds = {"png": IMAGES[0], "jpg": IMAGES[1], "jpeg": IMAGES[1]}
    found = kinds.get(name.lower().rpartition(".")[2])
    if found is None:
        raise RequestError(f"{name}: send a .png, .jpg or .jpeg")
    return found


def _test_items(session: Session, task: str, version: Version) -> Iterator[FirstRequest]:
    folder = Uri.parse(str(version.evaluation_uri)).parent
    stored = StoredEvaluation.of(
        f"version {version.number}", session.store.read(folder / EVALUATION), session.store.read(folder / PREDICTIONS)
    )
    make = _patient if task_spec(task).hosted.takes == "patients" else _picture
    for row in stored.rows[:LOOKED_AT]:
        try:
            what, body, content_type = make(session, stored, row)
        except (DataError, RequestError):
            continue
        labels = stored.block.model.labels
        yield FirstRequest(f"{what} of its test", body, content_type, labels[int(row["predicted"])], float(row["probability"]))


def _picture(session: Session, stored: StoredEvaluation, row: Fields) -> tuple[str, bytes, str]:
    images = stored.block.data_uris.get("images")
    if images is None or PATCH not in row:
        raise DataError("its test items are no files")
    return f"patch {row[PATCH]}", session.store.read(Uri.parse(images) / row[PATCH]), picture_type(row[PATCH])


def _patient(session: Session, stored: StoredEvaluation, row: Fields) -> tuple[str, bytes, str]:
    by_id = {slide["slide_id"]: slide for slide in stored.table(session.store.read, "slides")}
    try:
        slides = [SlideRow.model_validate(by_id[name]) for name in row["slide_ids"].split(SEPARATOR)]
    except (KeyError, ValueError):
        raise DataError("its slides are not in slides.csv") from None
    return f"patient {row['patient_id']}", patient_request(slides), JSON


def patient_request(slides: list[SlideRow]) -> bytes:
    """The request of a patient with these slides, as msi's endpoint reads it."""
    named = [{"slide_id": slide.slide_id, "features": slide.features, "sha256": slide.sha256} for slide in slides]
    return json.dumps({"slides": named}).encode()


def ask_first(endpoint: Endpoint, request: FirstRequest, version: Version, accept: str) -> Answer:
    """Send it, and hold the answer against the version.

    Raises:
        RefusedError: when it is not answered.
        WrongAnswerError: when another model answers, or otherwise than Evaluate wrote.
    """
    answer = endpoint.ask(request.body, request.content_type, accept)
    try:
        found = answer.read()
    except ValueError:
        raise WrongAnswerError(f"its answer to {request.what} is no JSON") from None
    expected = version.metadata.get(MODEL_VERSION)
    if expected and found.get(MODEL_VERSION) != expected:
        raise WrongAnswerError(f"model {found.get(MODEL_VERSION)} answers, and version {version.number} is model {expected}")
    if request.label is not None and found.get("label") != request.label:
        raise WrongAnswerError(f"it calls {request.what} {found.get('label')}, and Evaluate wrote {request.label}")
    if request.probability is not None:
        gap = abs(float(found.get("probability", "nan")) - request.probability)
        if not gap <= TOLERANCE:
            raise WrongAnswerError(
                f"it answers {request.what} with {found.get('probability')}, and Evaluate wrote {request.probability:.6f}"
            )
    return answer


__all__ = ["FirstRequest", "RefusedError", "WrongAnswerError", "ask_first", "first_request", "patient_request", "picture_type"]
