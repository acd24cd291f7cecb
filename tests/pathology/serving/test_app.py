"""The endpoint over real HTTP: uvicorn in its own process, and clients that mean well or ill."""

import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from endpoints import FIVE_SECONDS, JPEG, MIB, PNG, REFUSED, Server, assert_refused, encoded, entries, free_port, patch
from PIL import Image

FAKE = Path(__file__).with_name("fake_server.py")


def started(folder, **environment):
    port = free_port()
    return Server([sys.executable, str(FAKE), str(port)], port, folder, **environment)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = started(tmp_path_factory.mktemp("server"))
    yield server
    if server.process.poll() is None:
        assert server.end() == 0


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


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_is_a_4xx_and_one_line(server, name):
    content, headers, status = REFUSED[name]
    assert_refused(server.post(content(), headers), status)
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
    server = started(tmp_path)
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
    server = started(tmp_path, FAKE_SECONDS="0.7")
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
    server = started(tmp_path)
    body = encoded(patch(0))
    with socket.create_connection(("127.0.0.1", server.port), FIVE_SECONDS) as wire:
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        wire.sendall(head.encode() + body[:1000])
        time.sleep(0.2)
        server.process.terminate()
        time.sleep(0.3)
        wire.sendall(body[1000:])
        assert wire.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert server.process.wait(20) == 0
