"""The mhist endpoint as it is served, its real model inside: crowds, ill will, its memory, and its end."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from endpoints import FIVE_SECONDS, JPEG, MIB, PNG, REFUSED, Server, assert_refused, encoded, entries, free_port
from PIL import Image

from benchmarks.serving import make_root, patches

BATCHED = 1e-3
"""How far a probability may lie from that of the patch alone: half-precision sums depend on the batch."""
STORM = 16
"""Requests at one time."""
MOST_GROWTH = 200e6
"""bytes"""
PATIENT_SECONDS = 60
"""For large pictures, sixteen of which are decoded one after another."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A packed model of random weights with the code that serves it, and the tiny encoder."""
    root = tmp_path_factory.mktemp("mhist")
    make_root(root)
    return root


@pytest.fixture(scope="module")
def start(root, repository):
    """Starts ``pathology-run serve`` over it, logging to a folder, with more in its environment."""

    def start(folder, **environment):
        port = free_port()
        command = [sys.executable, str(repository / "containers" / "pathology-run"), "serve"]
        return Server(command, port, folder, PATHOLOGY_ROOT=str(root), PATHOLOGY_PORT=str(port), **environment)

    return start


@pytest.fixture(scope="module")
def server(start, tmp_path_factory):
    server = start(tmp_path_factory.mktemp("server"))
    yield server
    assert server.end() == 0


@pytest.fixture(scope="module")
def bodies():
    return patches(50)


def crowd(server, requests, clients, seconds=FIVE_SECONDS):
    """Answers to ``(body, headers)`` in order, so many at once; each in time or an error."""
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(lambda one: server.post(*one, seconds=seconds), requests))


def probabilities(answers):
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    return [answer.json()["probability"] for answer in answers]


def test_fifty_at_once_are_answered_as_one_by_one(server, bodies):
    alone = [server.post(body) for body in bodies]
    before = len(entries(server.text()))
    together = crowd(server, [(body, PNG) for body in bodies], 50)
    assert probabilities(together) == pytest.approx(probabilities(alone), abs=BATCHED)
    assert len({round(value, 3) for value in probabilities(alone)}) > 10  # the answers tell the patches apart
    assert [{**answer.json(), "probability": 0} for answer in together] == [{**one.json(), "probability": 0} for one in alone]
    batches = [entry["batch"] for entry in entries(server.text())[before:] if entry["event"] == "request"]
    assert len(batches) == 50 and max(batches) > 1


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_is_a_4xx_and_one_line_in_time(server, name):
    content, headers, status = REFUSED[name]
    assert_refused(server.post(content(), headers), status)


def largest():
    """Pictures at every limit: most pixels in each colour mode, and as many bytes as may be sent."""
    from pathology.models.serve_mhist import MOST_PIXELS

    side = round(MOST_PIXELS**0.5)
    ramp = np.add.outer(np.arange(side), np.arange(side)).astype(np.uint8)
    picture = Image.fromarray(np.stack([ramp, ramp.T, ramp[::-1]], axis=-1))
    noise = np.random.default_rng(0).integers(0, 256, (1440, 1440, 3), np.uint8)
    full = encoded(noise, compress_level=0)
    assert 0.98 * 6 * MIB < len(full) <= 6 * MIB
    faint = np.random.default_rng(1).integers(0, 128, (side, side, 3), np.uint8)
    return {
        "rgb": (encoded(picture, compress_level=1), PNG),
        "rgba": (encoded(picture.convert("RGBA"), compress_level=1), PNG),
        "grey with alpha": (encoded(picture.convert("LA"), compress_level=1), PNG),
        "palette with alpha": (encoded(picture.quantize(16), transparency=bytes([255] * 16)), PNG),
        "one bit": (encoded(picture.convert("1")), PNG),
        "progressive": (encoded(picture, "JPEG", progressive=True, subsampling=0), JPEG),
        "grey jpeg": (encoded(picture.convert("L"), "JPEG"), JPEG),
        "all bytes": (full, PNG),
        "progressive of many bytes": (encoded(faint, "JPEG", progressive=True, subsampling=0), JPEG),
    }


def as_on_four_cores(folder):
    """The environment in which the server decodes four pictures at one time, as where it is deployed, and not two."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import os\n\nos.cpu_count = lambda: 4\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}


def grown(server, since):
    return (server.memory() - since) / 1e6


@pytest.mark.slow
def test_a_storm_leaves_the_memory_as_it_was(start, bodies, tmp_path):
    """The most that it ever holds, against what it holds when it is warm: refusals, and the largest of what is let in."""
    server = start(tmp_path, **as_on_four_cores(tmp_path / "cores"))
    crowd(server, [(body, PNG) for body in bodies], 50)
    warm = server.memory("VmRSS")
    bad = [(content(), headers) for content, headers, _ in REFUSED.values()]
    statuses = [status for *_, status in REFUSED.values()]
    began = time.monotonic()
    for answer, status in zip(crowd(server, bad * 10, STORM), statuses * 10, strict=True):
        assert_refused(answer, status)
    print(f"{len(bad) * 10} refusals in {time.monotonic() - began:.1f} s: {grown(server, warm):.0f} MB more at most")
    large = largest()
    for name, request in large.items():
        began = time.monotonic()
        assert {answer.status_code for answer in crowd(server, [request] * STORM, STORM, PATIENT_SECONDS)} <= {200, 503}
        print(f"{STORM} × {name} in {time.monotonic() - began:.1f} s: {grown(server, warm):.0f} MB more at most")
    mixed = crowd(server, [*large.values(), *bad] * 4, STORM, PATIENT_SECONDS)
    assert {answer.status_code for answer in mixed} <= {200, 400, 406, 413, 415, 503}
    print(
        f"warm {warm / 1e6:.0f} MB; {grown(server, warm):.0f} MB more at most; {server.memory('VmRSS') / 1e6 - warm / 1e6:.0f} after"
    )
    assert grown(server, warm) * 1e6 < MOST_GROWTH
    probabilities([server.post(body) for body in bodies[:5]])
    assert server.end() == 0


@pytest.mark.slow
def test_sigterm_answers_what_is_in_flight_and_exits_with_0(start, bodies, tmp_path):
    from pathology.models.serve_mhist import MOST_PIXELS

    server = start(tmp_path)
    alone = probabilities([server.post(body) for body in bodies[:16]])
    side = round(MOST_PIXELS**0.5)
    slow = encoded(Image.new("RGB", (side, side), "white"))
    idle = server.sockets()
    with ThreadPoolExecutor(32) as pool:
        running = [pool.submit(server.post, body, seconds=PATIENT_SECONDS) for body in [slow] * 16 + bodies[:16]]
        until = time.monotonic() + 10
        while server.sockets() < idle + 32 and not any(one.done() for one in running) and time.monotonic() < until:
            time.sleep(0.01)  # what the kernel holds and the server has not taken is not in flight, and is reset
        time.sleep(0.5)
        assert not all(one.done() for one in running)
        assert server.end() == 0
        answers = [one.result() for one in running]
    assert probabilities(answers)[16:] == pytest.approx(alone, abs=BATCHED)
    with pytest.raises(httpx.ConnectError):
        server.post(bodies[0])
    (ended,) = [entry for entry in entries(server.text()) if entry["event"] == "ended"]
    assert ended["patches"] == 16 + 32
