"""One request to an endpoint, asked again while that may help, and what its answer says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
from pathology.contracts.errors import PathologyError
from pathology.contracts.media import GEOJSON, JSON
from pathology.contracts.refusals import code_of, message_of
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from pipelines.service.errors import explain, is_passing
from pipelines.service.session import Session, client

MAX_BODY = 6 * 2**20
"""Bytes of a request, and of an answer (SageMaker runtime API reference, InvokeEndpoint)."""
TRIES = 6
_LONGEST_WAIT = 30.0
_BUSY = frozenset({"ModelNotReadyException", "InternalDependencyException", "InternalFailure", "ServiceUnavailable"})
_MODEL = "ModelError"
_SECONDS = 70
"""For an answer: the service's own limit is 60."""


class RefusedError(PathologyError):
    """The endpoint did not answer a request, and asking again would not help; ``status`` is the model's, 0 where it said none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class UnavailableError(PathologyError):
    """No request would be answered: the endpoint is gone, or the caller may not ask it."""

    exit_code = 2


@dataclass(frozen=True)
class Answer:
    """What the model said."""

    content: bytes
    media_type: str

    def read(self) -> dict[str, Any]:
        """The answer as JSON, GeoJSON too; empty for what is neither."""
        if self.media_type.partition(";")[0].strip() not in (JSON, GEOJSON):
            return {}
        found = json.loads(self.content)
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint in service, by its runtime's client: one for all threads, since boto3's may be shared."""

    name: str
    runtime: Any
    first_wait: float

    @classmethod
    def of(cls, session: Session, name: str) -> Endpoint:
        """The endpoint of a session; tries of this module's own stand in for botocore's, so that each is counted once."""
        local = session.environment.local
        return cls(name, client(session, "sagemaker-runtime", tries=1, seconds=_SECONDS), 0.1 if local else 1.0)

    def ask(self, body: bytes, content_type: str, accept: str) -> Answer:
        """The answer to a request.

        Raises:
            RefusedError: saying what the model has against it; after :data:`TRIES` tries where that may pass.
            UnavailableError: when no other request would be answered either.
        """
        if len(body) > MAX_BODY:
            raise RefusedError(f"it has {len(body):,} bytes, and a request has {MAX_BODY:,} at most", 413)
        trying = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(self.first_wait, max=_LONGEST_WAIT),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        try:
            return trying(self._once, body, content_type, accept)
        except ClientError as error:
            if code_of(error) != _MODEL and not _may_pass(error):
                raise UnavailableError(explain(error)) from None
            raise RefusedError(_words(error), _status(error)) from None
        except BotoCoreError as error:
            raise RefusedError(f"no answer: {error}") from None

    def _once(self, body: bytes, content_type: str, accept: str) -> Answer:
        answer = self.runtime.invoke_endpoint(EndpointName=self.name, Body=body, ContentType=content_type, Accept=accept)
        return Answer(answer["Body"].read(), answer["ContentType"])


def _may_pass(error: BaseException) -> bool:
    """Whether asking again may help: no connection, a time-out, throttling, and what the model answers with 429 or 5xx."""
    if isinstance(error, ClientError):
        if code_of(error) == _MODEL:
            return _status(error) == 429 or _status(error) >= 500
        return code_of(error) in _BUSY or is_passing(error)
    return isinstance(error, ConnectionError | HTTPClientError)


def _status(error: ClientError) -> int:
    return int(error.response.get("OriginalStatusCode") or 0)  # type: ignore[call-overload]


def _words(error: ClientError) -> str:
    """The model's own line where it wrote one; the service's words else."""
    if code_of(error) != _MODEL:
        return explain(error)
    said = str(error.response.get("OriginalMessage") or "")
    try:
        line = json.loads(said)["error"]
    except (ValueError, KeyError, TypeError):
        line = said or message_of(error)
    return f"{_status(error)}: {' '.join(str(line).split())}"


def said(answer: dict[str, Any]) -> dict[str, str]:
    """An answer as a row of a table, its numbers in full: label, probability and spread of a classifier; nuclei, all and by class, of
    GeoJSON."""
    if "features" in answer and "probability" not in answer:
        names = Counter(
            (feature.get("properties") or {}).get("classification", {}).get("name", "none") for feature in answer["features"]
        )
        total = {"nuclei": str(len(answer["features"]))}
        return {**total, **{name: str(count) for name, count in sorted(names.items())}}
    row = {}
    if "label" in answer:
        row["label"] = str(answer["label"])
    for name in ("probability", "threshold"):
        if isinstance(answer.get(name), int | float):
            row[name] = repr(float(answer[name]))
    folds = answer.get("fold_probabilities")
    if folds:
        row["lowest_fold"], row["highest_fold"] = repr(float(min(folds))), repr(float(max(folds)))
    return row


def short(text: str) -> str:
    """A number as a person's table has room for it; other text as it is."""
    try:
        return f"{float(text):.3f}" if "." in text or "e" in text else text
    except ValueError:
        return text
