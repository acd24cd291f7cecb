"""A served endpoint in its own process, pictures for it, and requests that it must refuse."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from http.client import HTTPResponse
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
from pathology.images import PNG_MAGIC
from PIL import Image

from tests.made import REPOSITORY
from tests.waiting import MAX_WAIT_SECONDS, until

PNG, JPEG = {"Content-Type": "image/png"}, {"Content-Type": "image/jpeg"}
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Without it httpx reads all the machine's certificates for each request."""
MIB = 2**20
GATE = Path(__file__).with_name("serving") / "gate"
Requests = Sequence[tuple[bytes, dict[str, str]]]
"""Bodies and headers."""


def encoded(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    """An array or a Pillow image as a file's bytes."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    raw = io.BytesIO()
    image.save(raw, kind, **options)
    return raw.getvalue()


def patch(seed: int, side: int = 224) -> np.ndarray:
    """Noise, (side, side, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def entries(text: str) -> list[dict[str, Any]]:
    """The whole lines of a server's log."""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


class Client:
    """Asks the server at ``url``."""

    url: str

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request on a connection of its own."""
        return httpx.request(method, self.url + path, timeout=MAX_WAIT_SECONDS, verify=NO_CERTIFICATES, trust_env=False, **more)

    def post(self, content: Any, headers: dict[str, str] = PNG, **more: Any) -> httpx.Response:
        """Ask for a prediction."""
        return self.ask("POST", "/invocations", content=content, headers=headers, **more)

    def crowd(self, requests: Requests, clients: int) -> list[httpx.Response]:
        """Answers to ``(body, headers)`` in order, so many at once."""
        with ThreadPoolExecutor(clients) as pool:
            return list(pool.map(lambda one: self.post(*one), requests))


@contextmanager
def listening(task: Any, model: Any) -> Iterator[Client]:
    """The endpoint's application over a loaded model, in a thread of this process."""
    import uvicorn
    from pathology.serving.app import make_app

    app = make_app(task, model, model.version)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, access_log=False))
    thread = Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "a port", lambda: None if thread.is_alive() else "it has ended")
        client = Client()
        client.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield client
    finally:
        server.should_exit = True
        thread.join()


class Server(Client):
    """A started server, the process of ``command`` itself, which logs to ``folder`` and says there on which port it listens.

    Its model can be held, as serving/gate has it.
    """

    def __init__(self, command: Sequence[str], folder: Path, **environment: str) -> None:
        self.folder, self.log = folder, folder / "log"
        path = os.pathsep.join(filter(None, [str(GATE), os.environ.get("PYTHONPATH")]))
        with self.log.open("w") as output:
            env = {**os.environ, "PYTHONPATH": path, "GATE": str(folder), **environment}
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
        try:
            until(
                lambda: self.logged("listening"),
                "a port in the log",
                lambda: None if self.process.poll() is None else self.text(),
            )
        except BaseException:
            self.process.kill()
            raise
        self.port: int = self.logged("listening")[0]["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def text(self) -> str:
        """What it has logged."""
        return self.log.read_text()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [entry for entry in entries(self.text()) if entry["event"] == event]

    def stop(self) -> None:
        """Ask it to end, and wait until it takes no more connections."""
        self.process.send_signal(signal.SIGTERM)
        until(lambda: not self.listens())

    def listens(self) -> bool:
        """Whether it takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), MAX_WAIT_SECONDS).close()
        except ConnectionError:
            return False
        return True

    def end(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(MAX_WAIT_SECONDS)

    def memory(self, figure: str = "VmHWM") -> int:
        """The most that it ever had in memory, in bytes, or what it has now: ``VmRSS``."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{figure}:")[2].split()[0]) * 1024

    def count(self, what: str) -> int:
        """How many pictures are ``read``, or batches ``begun``, so far."""
        path = self.folder / what
        return path.stat().st_size if path.exists() else 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """The model waits until the block ends."""
        (self.folder / "hold").touch()
        try:
            yield
        finally:
            (self.folder / "hold").unlink()

    def submit(self, pool: ThreadPoolExecutor, requests: Requests) -> list[Future[httpx.Response]]:
        """Send them all at once, and wait until each is decoded."""
        read = self.count("read")
        running = [pool.submit(self.post, *request) for request in requests]
        until(lambda: self.count("read") == read + len(requests))
        return running

    def submit_first(self, pool: ThreadPoolExecutor, request: tuple[bytes, dict[str, str]]) -> Future[httpx.Response]:
        """Send one, and wait until the model has begun with it."""
        begun = self.count("begun")
        (running,) = self.submit(pool, [request])
        until(lambda: self.count("begun") > begun)
        return running

    def together(self, requests: Requests) -> list[httpx.Response]:
        """Answers to requests that all came while the model looked at the first of them once more."""
        with ThreadPoolExecutor(1 + len(requests)) as pool:
            with self.held():
                self.submit_first(pool, requests[0])
                running = self.submit(pool, requests)
            return [one.result() for one in running]


def endpoint(root: Path, folder: Path, **environment: str) -> Server:
    """A started ``pathology-run serve`` over a model that lies as SageMaker puts it."""
    command = [sys.executable, str(REPOSITORY / "containers" / "pathology-run"), "serve"]
    return Server(command, folder, PATHOLOGY_ROOT=str(root), PATHOLOGY_PORT="0", **environment)


class InFlight:
    """A request whose head the server has read: it has asked for the body, and must not end before it has answered."""

    def __init__(self, server: Server, body: bytes, headers: dict[str, str] = PNG) -> None:
        self.body = body
        self.wire = socket.create_connection(("127.0.0.1", server.port), MAX_WAIT_SECONDS)
        more = {"Host": "x", "Expect": "100-continue", "Content-Length": str(len(body)), **headers}
        lines = ["POST /invocations HTTP/1.1", *(f"{name}: {value}" for name, value in more.items())]
        self.wire.sendall("\r\n".join([*lines, "", ""]).encode())
        assert self.wire.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"

    def answer(self) -> tuple[int, bytes]:
        """Send the body; the status and the content of the answer."""
        with self.wire:
            self.wire.sendall(self.body)
            response = HTTPResponse(self.wire)
            response.begin()
            return response.status, response.read()


def end_in_flight(server: Server, requests: Requests) -> list[bytes]:
    """Ask it to end while it has all of them: the model looks at the first, the last one's body is on its way. Their answers.

    It has to give them, count them, and exit with 0.
    """
    *waiting, late = requests
    with ThreadPoolExecutor(len(waiting)) as pool:
        with server.held():
            running = [server.submit_first(pool, waiting[0]), *server.submit(pool, waiting[1:])]
            on_its_way = InFlight(server, *late)
            server.stop()
            assert not any(one.done() for one in running)
            assert server.process.poll() is None
        answers = [one.result() for one in running]
    last = on_its_way.answer()
    assert server.process.wait(MAX_WAIT_SECONDS) == 0
    assert [*(answer.status_code for answer in answers), last[0]] == [200] * len(requests)
    (ended,) = server.logged("ended")
    assert ended["patches"] == sum("batch" in entry for entry in server.logged("request"))
    return [*(answer.content for answer in answers), last[1]]


def assert_batched(server: Server, answers: Sequence[httpx.Response], max_batch: int) -> None:
    """Of :meth:`Server.together`: all went through the model together, but for what each decoder had still in hand.

    It may have said that it has read a picture before that one waits for the model.
    """
    from pathology.serving.app import DECODERS

    batches = {entry["request"]: entry["batch"] for entry in server.logged("request") if "batch" in entry}
    sizes = [batches[answer.headers["X-Request-Id"]] for answer in answers]
    assert len(sizes) - DECODERS <= max(sizes) <= max_batch
    assert round(sum(1 / batch for batch in sizes)) <= 1 + DECODERS, "so many batches in all"


@cache
def npy() -> bytes:
    """An array file that runs code when it is read as numpy used to."""
    raw = io.BytesIO()
    np.save(raw, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return raw.getvalue()


@cache
def bomb() -> bytes:
    """A whole PNG of 400 black megapixels in 220 kB."""
    side = 20_000
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0),
        b"IDAT": zlib.compress(bytes(side * (1 + side // 8)), 1),
        b"IEND": b"",
    }
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts.items()
    )
    return PNG_MAGIC + b"".join(chunks)


@cache
def animated(kind: str = "PNG") -> bytes:
    """Three pictures in one file."""
    frames = [Image.fromarray(patch(seed, 64)) for seed in range(3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


@cache
def whole(kind: str = "PNG", side: int = 224) -> bytes:
    """A patch of noise as a file."""
    return encoded(patch(0, side), kind)


REFUSED = {
    "empty": (lambda: b"", PNG, 400),
    "bomb": (bomb, PNG, 400),
    "truncated png": (lambda: whole()[:-100], PNG, 400),
    "truncated jpeg": (lambda: whole("JPEG")[:2000], JPEG, 400),
    "wrong magic": (lambda: b"II*\0" + bytes(5000), PNG, 400),
    "cmyk": (lambda: encoded(Image.fromarray(patch(0)).convert("CMYK"), "JPEG"), JPEG, 400),
    "16 bit": (lambda: encoded(Image.fromarray(np.zeros((64, 64), np.uint16))), PNG, 400),
    "animated": (animated, PNG, 400),
    "gif called png": (lambda: animated("GIF"), PNG, 400),
    "webp called jpeg": (lambda: animated("WEBP"), JPEG, 400),
    "webp": (lambda: animated("WEBP"), {"Content-Type": "image/webp"}, 415),
    "one pixel": (lambda: whole(side=1), PNG, 400),
    "pickle": (npy, {"Content-Type": "application/x-npy"}, 415),
    "pickle called png": (npy, PNG, 400),
    "no content type": (whole, {}, 415),
    "json": (lambda: b'{"instances": []}', {"Content-Type": "application/json"}, 415),
    "a form": (lambda: b"--x\r\n\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    "a byte over 6 MiB": (lambda: bytes(6 * MIB + 1), PNG, 413),
    "not what we speak": (whole, {**PNG, "Accept": "text/csv"}, 406),
}
"""By name: what makes the body, the headers, the status that it is answered with."""


def refused(name: str) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of one of them."""
    content, headers, _ = REFUSED[name]
    return content(), headers


def assert_all_refused(server: Server, clients: int, times: int = 1) -> None:
    """Each of REFUSED has its status, so many of them sent at one time."""
    names = list(REFUSED) * times
    answers = dict(zip(names, server.crowd([refused(name) for name in names], clients), strict=True))
    assert {name: answer.status_code for name, answer in answers.items()} == {
        name: status for name, (*_, status) in REFUSED.items()
    }
    for name, answer in answers.items():
        assert_refused(answer, REFUSED[name][-1])


def assert_refused(answer: httpx.Response, status: int) -> None:
    """It is one line of JSON that says something, and nothing else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.text
    assert 10 < len(answer.json()["error"]) < 300
