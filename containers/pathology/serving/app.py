"""``GET /ping`` and ``POST /invocations`` over a task's functions. A refusal is a 4xx with one line of JSON, ``{"error": …}``."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.media import JSON, MAX_BODY
from pathology.host import cores
from pathology.serving.batching import MAX_HELD, MAX_WAITING, Batcher, OverloadedError
from pathology.serving.bodies import Bodies, Body, RefusedError
from pathology.serving.logs import log
from pathology.serving.memory import configure_malloc
from pathology.serving.named import Fetching, NamedError, UnavailableError

WAIT_MS = 3.0
"""How long the first item of a batch waits for others."""
DECODERS = min(4, cores())
FETCHERS = 4
"""Requests whose data is fetched at one time: that is mostly waiting."""


class Task(Protocol):
    """What a task's serving module has to offer: SageMaker's functions, prediction on many items at once.

    It takes and answers content types ``TAKES`` and ``ANSWERS``. ``BATCH`` items go through the model together at most, ``BATCH_BYTES``
    of them; one larger item goes alone. With ``FETCHING`` a request names what the model reads, and that predicts; without, a parsed
    request is the item. Items have ``nbytes``.
    """

    @property
    def TAKES(self) -> Sequence[str]: ...  # noqa: N802

    @property
    def ANSWERS(self) -> Sequence[str]: ...  # noqa: N802

    @property
    def BATCH(self) -> int: ...  # noqa: N802

    @property
    def BATCH_BYTES(self) -> int: ...  # noqa: N802

    @property
    def FETCHING(self) -> Fetching | None: ...  # noqa: N802

    def proof(self, model: Any, /) -> Any:
        """The item that a starting endpoint is proven on."""

    def input_fn(self, body: bytes, content_type: str, /) -> Any:
        """Parse one request; DataError or RequestError when it is wrong."""

    def media_type(self, accept: str, /) -> str:
        """The content type of the answer, by the request's Accept header; RequestError for one that there is not."""

    def predict_fn(self, items: Any, model: Any, /) -> Any:
        """One answer for each item, where there is no FETCHING."""

    def output_fn(self, prediction: Any, accept: str, /) -> bytes:
        """One answer as bytes of that content type."""


def predict(task: Task, items: Sequence[Any], model: Any) -> Sequence[Any]:
    """One answer for each item."""
    answers: Sequence[Any] = (task.FETCHING.predict if task.FETCHING else task.predict_fn)(items, model)
    return answers


def prove(task: Task, model: Any) -> None:
    """Have the model answer on its proof, in every content type that it has."""
    (answer,) = predict(task, [task.proof(model)], model)
    for kind in task.ANSWERS:
        task.output_fn(answer, kind)


def make_app(task: Task, model: Any, version: str, *, wait_ms: float = WAIT_MS) -> FastAPI:
    """The application; ``app.state.batcher`` is its :class:`Batcher`."""
    held = task.FETCHING.held if task.FETCHING else MAX_HELD
    batcher: Batcher[Any, Any] = Batcher(
        lambda items: predict(task, items, model), task.BATCH, wait_ms, lambda item: int(item.nbytes), task.BATCH_BYTES, held
    )
    endpoint = Endpoint(task, model, version, batcher)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_malloc()
        batcher.start()
        log("started", model_version=version)
        yield
        await batcher.close()
        endpoint.decoders.shutdown()
        endpoint.fetchers.shutdown()
        endpoint.writer.shutdown()
        log("ended", batches=sum(batcher.sizes.values()), patches=sum(size * count for size, count in batcher.sizes.items()))

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.batcher = batcher
    app.add_api_route("/ping", endpoint.ping, methods=["GET"], response_model=None)
    app.add_api_route("/invocations", endpoint.invocations, methods=["POST"], response_model=None)
    app.add_exception_handler(HTTPException, _no_such_route)
    return app


class Endpoint:
    """The two routes over one loaded model."""

    def __init__(self, task: Task, model: Any, version: str, batcher: Batcher[Any, Any]) -> None:
        self.task, self.model, self.version, self.batcher, self.bodies = task, model, version, batcher, Bodies()
        self.decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        self.fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        self.sized = 0
        """Requests that wait for the size of what they name."""
        # One: an answer may be large while it is written, and the loop has to keep answering pings.
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="write")

    async def ping(self) -> Response:
        """200 while the model answers; 503 makes SageMaker replace the instance."""
        if self.batcher.healthy:
            return _json(200, {"status": "ok", "model_version": self.version})
        return _json(503, {"error": "the model fails on everything it is given: replace the instance"})

    async def invocations(self, request: Request) -> Response:
        """Answer one request, and log that in every case."""
        started, body = time.perf_counter(), Body(request)
        fields: dict[str, object] = {"request": uuid.uuid4().hex[:12]}
        failure: Exception | None = None
        try:
            response = await self._answer(request, body, fields)
        except ClientDisconnect:
            response = Response(status_code=499)  # nobody reads it
        except Exception as error:  # the edge: every failure becomes a status and one line
            status, reason, logged, failure = _explain(error)
            response = _json(status, {"error": reason}, **({"Retry-After": "1"} if status == 503 else {}))
            if logged:
                fields["reason"] = logged
            await body.drop()
            if not body.ended:
                response.headers["Connection"] = "close"
        response.headers["X-Request-Id"] = str(fields["request"])
        milliseconds = round(1000 * (time.perf_counter() - started), 1)
        level = logging.ERROR if failure else logging.INFO
        log("request", level=level, error=failure, status=response.status_code, ms=milliseconds, bytes=body.size, **fields)
        return response

    async def _answer(self, request: Request, body: Body, fields: dict[str, object]) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in self.task.TAKES:
            raise RefusedError(415, f"the content type is not {' or '.join(self.task.TAKES)}: send that")
        fields["content_type"] = content_type
        accept = request.headers.get("accept", "*/*")
        try:
            media_type = self.task.media_type(accept)
        except RequestError as error:
            raise RefusedError(406, str(error)) from None
        loop, fetching = asyncio.get_running_loop(), self.task.FETCHING
        async with self.bodies.reading(body) as content:
            item = await loop.run_in_executor(self.decoders, self._parse, content, content_type)
        size = await self._size(fetching, item) if fetching else int(item.nbytes)
        with self.batcher.holding(size):
            if fetching:
                item = await loop.run_in_executor(self.fetchers, fetching.fetch, item, self.model)
            answer = await self.batcher.submit(item)
            del item
            fields["batch"] = answer.batch
            written = await loop.run_in_executor(self.writer, self.task.output_fn, answer.value, accept)
        if len(written) > MAX_BODY:
            raise RefusedError(413, f"the answer has more than {MAX_BODY:,} bytes: send a smaller picture")
        return Response(written, media_type=media_type)

    async def _size(self, fetching: Fetching, request: Any) -> int:
        """Bytes of what a request names.

        Raises:
            OverloadedError: when too many ask.
            RefusedError: when so many are never held.
        """
        if self.sized >= MAX_WAITING:
            raise OverloadedError
        self.sized += 1
        try:
            size = await asyncio.get_running_loop().run_in_executor(self.fetchers, fetching.size, request)
        finally:
            self.sized -= 1
        if size > fetching.held:
            raise RefusedError(
                413, f"what the request names has {size:,} bytes, and at most {fetching.held:,} are held: name less"
            )
        return size

    def _parse(self, content: bytearray, content_type: str) -> Any:
        """In a decoder, so that only what is being decoded is held twice, and not all that waits for its turn."""
        return self.task.input_fn(bytes(content), content_type)


def _explain(error: Exception) -> tuple[int, str, str, Exception | None]:
    """Status, line, what of it may be logged (it quotes nothing from the client), and the error where nobody foresaw it."""
    line = _line(str(error))
    status, logged = 400, line
    failure: Exception | None = None
    match error:
        case RefusedError():
            status, logged = error.status, "" if error.status == 406 else line
        case NamedError():
            logged = _line(error.logged)
        case RequestError():
            logged = ""
        case DataError():
            pass
        case UnavailableError():
            status, failure = 503, error
        case OverloadedError():
            status, line = 503, "too many requests are waiting: try again in a second"
            logged = line
        case _:
            status, line = 500, "the model failed on this request: the log says where, under the X-Request-Id"
            logged, failure = line, error
    return status, line, logged, failure


async def _no_such_route(request: Request, error: Exception) -> Response:
    await (body := Body(request)).drop()
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = {} if body.ended else {"Connection": "close"}
    return _json(status, {"error": "there are GET /ping and POST /invocations, and nothing else"}, **headers)


def _json(status: int, content: object, **headers: str) -> Response:
    return Response(json.dumps(content).encode(), status, headers=headers, media_type=JSON)


def _line(text: str) -> str:
    return " ".join(text.split())[:500]
