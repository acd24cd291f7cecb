"""Many requests to an endpoint: several at once, answered in order, each result in a file of its own, gone on with after a break."""

from __future__ import annotations

import fcntl
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import quote

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.media import GEOJSON, JSON
from pathology.contracts.storage import atomic_write

from pipelines.service.hosting.asking import Endpoint, RefusedError, said
from pipelines.service.hosting.inputs import Input
from pipelines.service.results import MODEL_VERSION

JOURNAL = "answered.jsonl"
"""In the folder of results: a line for every answer, so that a second run asks for the others alone."""
SUFFIX = {JSON: ".json", GEOJSON: ".geojson"}
Status = Literal["answered", "kept", "refused"]


@dataclass(frozen=True)
class Result:
    """What became of an input: ``row`` is what its answer says and ``model`` who said it, ``answer`` the whole where that was asked for,
    ``file`` where it lies."""

    name: str
    status: Status
    row: dict[str, str]
    reason: str = ""
    model: str | None = None
    file: str | None = None
    answer: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "input": self.name,
            "status": self.status,
            "reason": self.reason or None,
            "file": self.file,
            "answer": self.answer,
        }


@dataclass
class Folder:
    """The folder of results, its journal open for this process alone. ``model`` is the one that the endpoint serves, None where that is
    not known: what another answered is asked for again."""

    path: Path
    model: str | None
    journal: IO[str]
    known: dict[str, dict[str, Any]]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def kept(self, name: str, body_sha256: str, accept: str) -> dict[str, Any] | None:
        """What the journal knows of the same question to the same version, whose result is there and whole."""
        entry = self.known.get(name)
        if entry is None or self.model is None:
            return None
        if (entry["sha256"], entry["accept"], entry["model"]) != (body_sha256, accept, self.model):
            return None
        try:
            content = (self.path / entry["file"]).read_bytes()
        except OSError:
            return None
        return entry if hashlib.sha256(content).hexdigest() == entry["result_sha256"] else None

    def write(self, name: str, body_sha256: str, accept: str, content: bytes, row: dict[str, str], model: str | None) -> str:
        """Write a result, then its line; the file's name below the folder."""
        file = quote(name, safe="/ ._-()+,=@") + SUFFIX[accept]
        atomic_write(self.path / file, content)
        entry = {
            "input": name,
            "sha256": body_sha256,
            "accept": accept,
            "model": model,
            "file": file,
            "result_sha256": hashlib.sha256(content).hexdigest(),
            "row": row,
        }
        with self.lock:
            self.journal.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self.journal.flush()
        return file


@contextmanager
def results_in(path: Path, model: str | None) -> Iterator[Folder]:
    """The folder, made where it is not there.

    Raises:
        RequestError: when it cannot be written to, or another process writes there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        journal = (path / JOURNAL).open("a+", encoding="utf-8")
    except OSError as error:
        raise RequestError(f"--out {path}: cannot be written to ({error.strerror})") from None
    with journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RequestError(f"--out {path}: another invoke writes there: wait for it, or give another folder") from None
        yield Folder(path, model, journal, _known(journal))


def _known(journal: IO[str]) -> dict[str, dict[str, Any]]:
    """By input, its last line; a line that a crash cut is none, and ends here so that the next begins on one of its own."""
    journal.seek(0)
    known, text = {}, journal.read()
    for line in text.splitlines():
        try:
            entry = json.loads(line)
            known[entry["input"]] = {key: entry[key] for key in ("sha256", "accept", "model", "file", "result_sha256", "row")}
        except (ValueError, KeyError, TypeError):
            continue
    if text and not text.endswith("\n"):
        journal.write("\n")
    return known


def invoke(
    endpoint: Endpoint, items: Sequence[Input], accept: str, folder: Folder | None, parallel: int, *, whole: bool
) -> Iterator[Result]:
    """Ask for every input, ``parallel`` at once; results in the order of the inputs. ``whole``: with the answers as they came.

    Raises:
        UnavailableError: when the endpoint answers nobody; what it had answered is kept.
    """
    with ThreadPoolExecutor(parallel, thread_name_prefix="invoke") as pool:
        try:
            yield from pool.map(lambda item: _ask(endpoint, item, accept, folder, whole=whole), items)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _ask(endpoint: Endpoint, item: Input, accept: str, folder: Folder | None, *, whole: bool) -> Result:
    try:
        body = item.read()
    except (DataError, OSError) as error:
        return Result(item.name, "refused", {}, f"cannot be read: {error}")
    digest = hashlib.sha256(body).hexdigest()
    entry = folder.kept(item.name, digest, accept) if folder else None
    if folder is not None and entry is not None:
        answer = json.loads((folder.path / entry["file"]).read_bytes()) if whole else None
        return Result(item.name, "kept", entry["row"], model=entry["model"], file=entry["file"], answer=answer)
    try:
        found = endpoint.ask(body, item.content_type, accept)
        content = found.read()
    except RefusedError as error:
        return Result(item.name, "refused", {}, str(error))
    except ValueError:
        return Result(item.name, "refused", {}, "the answer is no JSON")
    row, model = said(content), content.get(MODEL_VERSION)
    file = folder.write(item.name, digest, accept, found.content, row, model) if folder else None
    return Result(item.name, "answered", row, model=model, file=file, answer=content if whole else None)
