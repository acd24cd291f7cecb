"""The endpoint over real HTTP: uvicorn in its own process, and clients that mean well or ill."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

PNG, JPEG = {"Content-Type": "image/png"}, {"Content-Type": "image/jpeg"}
SERVER = Path(__file__).with_name("fake_server.py")
FIVE_SECONDS = 5.0
MIB = 2**20


def encoded(pixels, kind="PNG", **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    raw = io.BytesIO()
    image.save(raw, kind, **options)
    return raw.getvalue()


def patch(seed, side=224):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


class Server:
    """A started server; ``log()`` ends it and gives its lines."""

    def __init__(self, folder, **environment):
        self.output = (folder / "log").open("w+")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        env = {**os.environ, **environment}
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), str(self.port)], stdout=self.output, stderr=self.output, env=env
        )
        until = time.monotonic() + 30
        while True:
            try:
                assert httpx.get(f"{self.url}/ping", timeout=2).status_code == 200
                return
            except httpx.TransportError:
                assert time.monotonic() < until, self.text()
                assert self.process.poll() is None, self.text()
                time.sleep(0.05)

    def text(self):
        self.output.flush()
        return Path(self.output.name).read_text()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def memory(self):
        """The most that it ever had in memory, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def post(self, content, headers=PNG, **more):
        return httpx.post(f"{self.url}/invocations", content=content, headers=headers, timeout=FIVE_SECONDS, **more)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    if server.process.poll() is None:
        assert server.end() == 0


def entries(text):
    return [json.loads(line) for line in text.splitlines()]


def test_fifty_at_once_are_batched_and_answered_as_one_by_one(server):
    bodies = [encoded(patch(seed)) for seed in range(50)]
    alone = [server.post(body).json() for body in bodies[:10]]
    before = len(entries(server.text()))
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(server.post, bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json() for answer in answers][:10] == alone
    assert [answer.json()["sum"] for answer in answers] == [int(patch(seed).sum()) for seed in range(50)]
    batches = [entry["batch"] for entry in entries(server.text())[before:] if entry["event"] == "request"]
    assert len(batches) == 50
    assert max(batches) > 1
    assert sum(1 / batch for batch in batches) < 40


def test_ping_names_the_model(server):
    answer = httpx.get(f"{server.url}/ping", timeout=2)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "model_version": "0123456789ab"})


def npy():
    raw = io.BytesIO()
    np.save(raw, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return raw.getvalue()


def bomb():
    """A PNG of 400 megapixels in 400 kB."""
    return encoded(Image.new("1", (20_000, 20_000)))


def animated():
    frames = [Image.fromarray(patch(seed, 64)) for seed in range(3)]
    return encoded(frames[0], save_all=True, append_images=frames[1:])


REFUSED = {
    "empty": (lambda: b"", PNG, 400),
    "bomb": (bomb, PNG, 400),
    "truncated png": (lambda: encoded(patch(0))[:-100], PNG, 400),
    "truncated jpeg": (lambda: encoded(patch(0), "JPEG")[:2000], JPEG, 400),
    "wrong magic": (lambda: b"II*\0" + bytes(5000), PNG, 400),
    "cmyk": (lambda: encoded(Image.fromarray(patch(0)).convert("CMYK"), "JPEG"), JPEG, 400),
    "16 bit": (lambda: encoded(Image.fromarray(np.zeros((64, 64), np.uint16))), PNG, 400),
    "animated": (animated, PNG, 400),
    "one pixel": (lambda: encoded(patch(0, 1)), PNG, 400),
    "pickle": (npy, {"Content-Type": "application/x-npy"}, 415),
    "pickle called png": (npy, PNG, 400),
    "no content type": (lambda: encoded(patch(0)), {}, 415),
    "json": (lambda: b'{"instances": []}', {"Content-Type": "application/json"}, 415),
    "a form": (lambda: b"--x\r\n\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    "a byte over 6 MiB": (lambda: bytes(6 * MIB + 1), PNG, 413),
    "not what we speak": (lambda: encoded(patch(0)), {**PNG, "Accept": "text/csv"}, 406),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_is_a_4xx_and_one_line(server, name):
    content, headers, status = REFUSED[name]
    answer = server.post(content(), headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert "\n" not in answer.text
    assert 10 < len(answer.json()["error"]) < 300
    assert server.post(encoded(patch(1))).status_code == 200


def test_a_body_without_a_length_is_cut_off_while_it_comes(server):
    answer = server.post(iter([bytes(MIB)] * 7))
    assert answer.status_code == 413


def test_six_mib_are_read(server):
    assert server.post(bytes(6 * MIB)).json()["error"].startswith("the patch: begins neither")


def test_a_declared_size_alone_is_refused_at_once(server):
    with socket.create_connection(("127.0.0.1", server.port), FIVE_SECONDS) as wire:
        wire.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 99999999999\r\n\r\n")
        assert wire.recv(1000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("POST", "/ping", 405),
        ("GET", "/invocations", 405),
    ],
)
def test_there_is_nothing_else(server, method, path, status):
    answer = httpx.request(method, server.url + path, timeout=FIVE_SECONDS)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_jpeg_and_sizes_of_patches(server):
    assert server.post(encoded(patch(0), "JPEG"), JPEG).status_code == 200
    assert server.post(encoded(patch(0, 448)), PNG).status_code == 200
    assert server.post(encoded(patch(0)[:100]), PNG).status_code == 400


def test_a_failure_of_the_model_is_a_500_that_tells_nothing_and_hits_nobody_else(server):
    white, black = (np.full((224, 224, 3), value, np.uint8) for value in (255, 0))  # the fake model fails on black
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(server.post, [encoded(black), *[encoded(white)] * 19]))
    assert [answer.status_code for answer in answers] == [500] + [200] * 19
    assert "X-Request-Id" in answers[0].json()["error"]
    assert "secret" not in answers[0].text
    (entry,) = [one for one in entries(server.text()) if one.get("request") == answers[0].headers["X-Request-Id"]]
    assert entry["exception"] == "ValueError"
    assert any(place.endswith("predict_fn") for place in entry["places"])


def test_clients_that_go_away_leave_nothing_behind(server):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), FIVE_SECONDS) as wire:
            wire.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc")
    assert server.post(encoded(patch(0))).status_code == 200


def test_logs_are_json_lines_without_what_clients_sent(server):
    name = "Jane-Doe-1970"
    server.post(
        encoded(patch(0)), {**PNG, "X-Amzn-SageMaker-Custom-Attributes": name, "User-Agent": name}, params={"patient": name}
    )
    server.post(encoded(patch(0)), {"Content-Type": f"image/{name}"})
    server.post(encoded(patch(0)), {**PNG, "Accept": f"text/{name}"})
    server.post(name.encode() * 100)
    httpx.get(f"{server.url}/{name}", timeout=FIVE_SECONDS)
    text = server.text()
    assert name not in text
    assert "secret" not in text
    last = [entry for entry in entries(text) if entry["event"] == "request"][-4:]
    assert [entry["status"] for entry in last] == [200, 415, 406, 400]
    assert last[0].keys() == {"time", "level", "event", "request", "status", "ms", "bytes", "content_type", "batch"}
    assert last[3]["reason"].startswith("the patch: begins neither")


def test_a_storm_of_bad_requests_leaves_the_memory_as_it_was(tmp_path):
    """Ill will in parallel: bombs, the largest bodies, and the largest picture that is let in."""
    server = Server(tmp_path)
    assert server.post(encoded(patch(0))).status_code == 200
    before = server.memory()
    bad = [(content(), headers) for content, headers, _ in REFUSED.values()]
    bad += [(encoded(Image.new("RGB", (2048, 2048), "white")), PNG), (bytes(6 * MIB), PNG)]
    with ThreadPoolExecutor(16) as pool:
        since = time.monotonic()
        answers = list(pool.map(lambda one: server.post(*one), bad * 5))
    assert time.monotonic() - since < 60
    assert {answer.status_code for answer in answers} <= {200, 400, 406, 413, 415, 503}
    assert server.memory() - before < 200e6
    assert server.post(encoded(patch(0))).status_code == 200
    assert server.end() == 0


def test_sigterm_answers_what_has_come_in_and_exits_with_0(tmp_path):
    server = Server(tmp_path, FAKE_SECONDS="0.7")
    bodies = [encoded(patch(seed)) for seed in range(10)]
    with ThreadPoolExecutor(10) as pool:
        running = [pool.submit(server.post, body) for body in bodies]
        time.sleep(0.3)
        assert not any(one.done() for one in running)
        assert server.end() == 0
        assert [one.result().json()["sum"] for one in running] == [int(patch(seed).sum()) for seed in range(10)]
    with pytest.raises(httpx.ConnectError):
        server.post(b"")
    (ended,) = [entry for entry in entries(server.text()) if entry["event"] == "ended"]
    assert ended["patches"] == 10


def test_sigterm_waits_for_a_body_on_its_way(tmp_path):
    server = Server(tmp_path)
    body = encoded(patch(0))
    with socket.create_connection(("127.0.0.1", server.port), FIVE_SECONDS) as wire:
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        wire.sendall(head.encode() + body[:1000])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        wire.sendall(body[1000:])
        assert wire.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert server.process.wait(20) == 0
