"""The endpoint over real HTTP: uvicorn in its own process, and clients that mean well or ill."""

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from endpoints import (
    JPEG,
    MIB,
    PNG,
    REFUSED,
    Server,
    assert_batched,
    assert_refused,
    encoded,
    end_in_flight,
    entries,
    patch,
    refused,
    whole,
)
from PIL import Image

from tests.waiting import MAX_WAIT_SECONDS

FAKE = Path(__file__).with_name("fake_server.py")


def started(folder):
    return Server([sys.executable, str(FAKE), "0"], folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = started(tmp_path_factory.mktemp("server"))
    yield server
    if server.process.poll() is None:
        assert server.end() == 0


@pytest.fixture
def fresh(tmp_path):
    """One of a test's own, which it ends."""
    server = started(tmp_path)
    yield server
    if server.process.poll() is None:
        server.process.kill()


def test_fifty_at_once_are_batched_and_answered_as_one_by_one(server):
    bodies = [encoded(patch(seed), compress_level=1) for seed in range(50)]
    alone = [server.post(body).json() for body in bodies[:10]]
    answers = server.together([(body, PNG) for body in bodies])
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json() for answer in answers][:10] == alone
    assert [answer.json()["sum"] for answer in answers] == [int(patch(seed).sum()) for seed in range(50)]
    assert_batched(server, answers, 50)


def test_pings_are_answered_while_the_model_works(server):
    with ThreadPoolExecutor(1) as pool:
        with server.held():
            running = server.submit_first(pool, (whole(), PNG))
            assert server.ask("GET", "/ping").status_code == 200
            assert not running.done()
        assert running.result().status_code == 200


def test_a_port_that_is_taken_is_named_and_ends_it(tmp_path):
    """So the port that it is told is the one that it takes."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, str(FAKE), str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MAX_WAIT_SECONDS)
    assert done.returncode == 3
    assert any(entry["level"] == "error" and f", {port})" in entry["event"] for entry in entries(done.stdout))
    assert "listening" not in done.stdout


def test_ping_names_the_model(server):
    answer = server.ask("GET", "/ping")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "model_version": "0123456789ab"})


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_is_a_4xx_and_one_line(server, name):
    assert_refused(server.post(*refused(name)), REFUSED[name][-1])
    assert server.post(whole()).status_code == 200


def test_a_body_without_a_length_is_cut_off_while_it_comes(server):
    answer = server.post(iter([bytes(MIB)] * 7))
    assert answer.status_code == 413


def test_six_mib_are_read(server):
    assert server.post(bytes(6 * MIB)).json()["error"].startswith("the patch: begins neither")


def test_a_declared_size_alone_is_refused_at_once(server):
    with socket.create_connection(("127.0.0.1", server.port), MAX_WAIT_SECONDS) as wire:
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
    answer = server.ask(method, path)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_jpeg_and_sizes_of_patches(server):
    assert server.post(whole("JPEG"), JPEG).status_code == 200
    assert server.post(whole(side=448), PNG).status_code == 200
    assert server.post(encoded(patch(0)[:100]), PNG).status_code == 400


def test_a_failure_of_the_model_is_a_500_that_tells_nothing_and_hits_nobody_else(server):
    white, black = (np.full((224, 224, 3), value, np.uint8) for value in (255, 0))  # the fake model fails on black
    answers = server.together([(encoded(one), PNG) for one in [white] * 19 + [black]])
    assert [answer.status_code for answer in answers] == [200] * 19 + [500]
    assert "X-Request-Id" in answers[-1].json()["error"]
    assert "secret" not in answers[-1].text
    (entry,) = [one for one in server.logged("request") if one["request"] == answers[-1].headers["X-Request-Id"]]
    assert entry["exception"] == "ValueError"
    assert any(frame.endswith("predict_fn") for frame in entry["frames"])


def test_an_answer_beyond_what_an_endpoint_may_send_is_refused(server):
    answer = server.post(encoded(np.full((224, 224, 3), 99, np.uint8)))  # the fake model has much to say of it
    assert_refused(answer, 413)
    assert "send a smaller picture" in answer.json()["error"]


def test_clients_that_go_away_leave_nothing_behind(server):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), MAX_WAIT_SECONDS) as wire:
            wire.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nabc")
    assert server.post(whole()).status_code == 200


def test_logs_are_json_lines_without_what_clients_sent(server):
    name = "Jane-Doe-1970"
    sent = {**PNG, "X-Amzn-SageMaker-Custom-Attributes": name, "User-Agent": name}
    answers = [
        server.post(whole(), sent, params={"patient": name}),
        server.post(whole(), {"Content-Type": f"image/{name}"}),
        server.post(whole(), {**PNG, "Accept": f"text/{name}"}),
        server.post(name.encode() * 100),
    ]
    server.ask("GET", f"/{name}")
    text = server.text()
    assert name not in text
    assert "secret" not in text
    by_request = {entry["request"]: entry for entry in server.logged("request")}
    last = [by_request[answer.headers["X-Request-Id"]] for answer in answers]
    assert [entry["status"] for entry in last] == [200, 415, 406, 400]
    assert last[0].keys() == {"time", "level", "event", "request", "status", "ms", "bytes", "content_type", "batch"}
    assert last[3]["reason"].startswith("the patch: begins neither")


def test_a_storm_of_bad_requests_leaves_the_memory_as_it_was(fresh):
    """Ill will in parallel: bombs, the largest bodies, and the largest picture that is let in."""
    assert fresh.post(whole()).status_code == 200
    before = fresh.memory()
    bad = [refused(name) for name in REFUSED]
    bad += [(encoded(Image.new("RGB", (2048, 2048), "white")), PNG), (bytes(6 * MIB), PNG)]
    answers = fresh.crowd(bad * 2, 16)
    assert {answer.status_code for answer in answers} <= {200, 400, 406, 413, 415, 503}
    assert fresh.memory() - before < 200e6
    assert fresh.post(whole()).status_code == 200
    assert fresh.end() == 0


def test_sigterm_answers_what_has_come_in_waits_for_a_body_on_its_way_and_exits_with_0(fresh):
    bodies = [encoded(patch(seed), compress_level=1) for seed in range(11)]
    answers = end_in_flight(fresh, [(body, PNG) for body in bodies])
    assert [json.loads(answer)["sum"] for answer in answers] == [int(patch(seed).sum()) for seed in range(11)]
