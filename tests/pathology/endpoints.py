"""A served endpoint in its own process, pictures for it, and requests that it must refuse."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

PNG, JPEG = {"Content-Type": "image/png"}, {"Content-Type": "image/jpeg"}
FIVE_SECONDS = 5.0
START_SECONDS = 60
MIB = 2**20


def encoded(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    """An array or a Pillow image as a file's bytes."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    raw = io.BytesIO()
    image.save(raw, kind, **options)
    return raw.getvalue()


def patch(seed: int, side: int = 224) -> np.ndarray:
    """Noise, (side, side, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def entries(text: str) -> list[dict[str, Any]]:
    """The lines of a server's log."""
    return [json.loads(line) for line in text.splitlines()]


class Server:
    """A started server, the process of ``command`` itself, which listens on ``port`` and logs to ``folder``."""

    def __init__(self, command: Sequence[str], port: int, folder: Path, **environment: str) -> None:
        self.port, self.url, self.log = port, f"http://127.0.0.1:{port}", folder / "log"
        with self.log.open("w") as output:
            env = {**os.environ, **environment}
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                assert httpx.get(f"{self.url}/ping", timeout=2).status_code == 200
                return
            except httpx.TransportError:
                assert time.monotonic() < until, self.text()
                assert self.process.poll() is None, self.text()
                time.sleep(0.05)

    def text(self) -> str:
        """What it has logged."""
        return self.log.read_text()

    def end(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def memory(self, figure: str = "VmHWM") -> int:
        """The most that it ever had in memory, in bytes, or what it has now: ``VmRSS``."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{figure}:")[2].split()[0]) * 1024

    def sockets(self) -> int:
        """Sockets that it has open: those it listens on, its own and every connection that it has taken."""
        found = 0
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                found += str(entry.readlink()).startswith("socket:")
        return found

    def post(self, content: Any, headers: dict[str, str] = PNG, *, seconds: float = FIVE_SECONDS, **more: Any) -> httpx.Response:
        """One request on a connection of its own; httpx.TimeoutException when it is not answered in time."""
        return httpx.post(f"{self.url}/invocations", content=content, headers=headers, timeout=seconds, **more)


def npy() -> bytes:
    """An array file that runs code when it is read as numpy used to."""
    raw = io.BytesIO()
    np.save(raw, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return raw.getvalue()


def bomb() -> bytes:
    """A PNG of 400 megapixels in 400 kB."""
    return encoded(Image.new("1", (20_000, 20_000)))


def animated(kind: str = "PNG") -> bytes:
    """Three pictures in one file."""
    frames = [Image.fromarray(patch(seed, 64)) for seed in range(3)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


REFUSED = {
    "empty": (lambda: b"", PNG, 400),
    "bomb": (bomb, PNG, 400),
    "truncated png": (lambda: encoded(patch(0))[:-100], PNG, 400),
    "truncated jpeg": (lambda: encoded(patch(0), "JPEG")[:2000], JPEG, 400),
    "wrong magic": (lambda: b"II*\0" + bytes(5000), PNG, 400),
    "cmyk": (lambda: encoded(Image.fromarray(patch(0)).convert("CMYK"), "JPEG"), JPEG, 400),
    "16 bit": (lambda: encoded(Image.fromarray(np.zeros((64, 64), np.uint16))), PNG, 400),
    "animated": (animated, PNG, 400),
    "gif called png": (lambda: animated("GIF"), PNG, 400),
    "webp called jpeg": (lambda: animated("WEBP"), JPEG, 400),
    "webp": (lambda: animated("WEBP"), {"Content-Type": "image/webp"}, 415),
    "one pixel": (lambda: encoded(patch(0, 1)), PNG, 400),
    "pickle": (npy, {"Content-Type": "application/x-npy"}, 415),
    "pickle called png": (npy, PNG, 400),
    "no content type": (lambda: encoded(patch(0)), {}, 415),
    "json": (lambda: b'{"instances": []}', {"Content-Type": "application/json"}, 415),
    "a form": (lambda: b"--x\r\n\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    "a byte over 6 MiB": (lambda: bytes(6 * MIB + 1), PNG, 413),
    "not what we speak": (lambda: encoded(patch(0)), {**PNG, "Accept": "text/csv"}, 406),
}
"""By name: what makes the body, the headers, the status that it is answered with."""


def assert_refused(answer: httpx.Response, status: int) -> None:
    """It is one line of JSON that says something, and nothing else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.text
    assert 10 < len(answer.json()["error"]) < 300
