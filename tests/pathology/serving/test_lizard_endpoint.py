"""The lizard endpoint as it is served, its real model inside: answers as in process, ill will, its memory, and its end."""

import io
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import httpx
import numpy as np
import pytest
from endpoints import JPEG, PNG, REFUSED, Server, assert_refused, encoded, entries, free_port
from pathology.models.tiny import make_tiny_encoder
from pathology.serving.code import endpoint_code
from PIL import Image

PATIENT_SECONDS = 300
"""For pictures of four megapixels, each of which takes some ten seconds on two idle cores."""
MOST_GROWTH = 900e6
"""bytes beyond a warm server's: 150 for each px of the one large picture that is worked on, and the others that wait or are read."""
GEOJSON, NPY = ({**PNG, "Accept": kind} for kind in ("application/geo+json", "application/x-npy"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A packed model of random weights with the code that serves it, and the tiny encoder."""
    from nuclear_models import network, save
    from pathology.models import serve_lizard
    from pathology.models.archive import ADDITIONAL_MODEL

    root = tmp_path_factory.mktemp("lizard")
    make_tiny_encoder(root / ADDITIONAL_MODEL)
    save(root / "model", network(root / ADDITIONAL_MODEL, "lora"), endpoint_code(serve_lizard.__name__))
    return root


@pytest.fixture(scope="module")
def model(root):
    """The same in process."""
    from pathology.models import serve_lizard
    from pathology.models.archive import ADDITIONAL_MODEL

    return serve_lizard.model_fn(root / "model", root / ADDITIONAL_MODEL)


@pytest.fixture(scope="module")
def start(root, repository):
    """Starts ``pathology-run serve`` over it, logging to a folder; what a failed test left running is ended."""
    started = []

    def start(folder):
        port = free_port()
        command = [sys.executable, str(repository / "containers" / "pathology-run"), "serve"]
        started.append(Server(command, port, folder, PATHOLOGY_ROOT=str(root), PATHOLOGY_PORT=str(port)))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()


@pytest.fixture(scope="module")
def server(start, tmp_path_factory):
    server = start(tmp_path_factory.mktemp("server"))
    yield server
    assert server.end() == 0


def crowd(server, requests):
    """Answers to ``(body, headers)`` in order, all sent at once."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda one: server.post(*one, seconds=PATIENT_SECONDS), requests))


def label_map(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-npy"
    return np.load(io.BytesIO(answer.content), allow_pickle=False)


def rasterised(collection, height, width):
    """Its polygons drawn back: each px the number of the nucleus whose rings go round its middle."""
    found = np.zeros((height, width), int)
    for number, feature in enumerate(collection["features"], 1):
        geometry = feature["geometry"]
        pieces = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        crossed = np.zeros((height, width + 1), int)
        for (x, y), (_, later) in (edge for piece in pieces for ring in piece for edge in pairwise(ring)):
            crossed[min(y, later) : max(y, later), x] += 1  # the vertical edges; rows between them are inside by parity
        inside = (np.cumsum(crossed, axis=1)[:, :-1] % 2).astype(bool)
        assert not (found[inside] > 0).any(), "no px is in two nuclei"
        found[inside] = number
    return found


@pytest.mark.parametrize(("height", "width"), [(256, 256), (300, 411), (32, 90)])
def test_both_answers_are_those_of_the_model_in_process(server, model, height, width):
    from nuclear_models import picture
    from pathology.models import serve_lizard

    body = encoded(picture(1, height, width))
    (expected,) = serve_lizard.predict_fn([serve_lizard.input_fn(body)], model)
    labels = label_map(server.post(body, NPY, seconds=PATIENT_SECONDS))
    assert labels.dtype == np.uint16 and np.array_equal(labels, expected.labels)
    answer = server.post(body, GEOJSON, seconds=PATIENT_SECONDS)
    assert answer.headers["content-type"] == "application/geo+json"
    collection = answer.json()
    assert collection["model_version"] == model.version and collection["mpp"] == 0.5
    assert collection["counts"] == expected.counts() and sum(expected.counts().values()) == len(collection["features"])
    assert np.array_equal(rasterised(collection, height, width), labels[..., 0])


@pytest.mark.parametrize(
    ("accept", "kind"), [("application/json", "application/json"), ("*/*", "application/geo+json"), ("", "application/geo+json")]
)
def test_the_content_type_follows_the_answer(server, accept, kind):
    from nuclear_models import picture

    answer = server.post(encoded(picture(2, 64, 64)), {**PNG, "Accept": accept}, seconds=PATIENT_SECONDS)
    assert answer.headers["content-type"] == kind
    assert answer.json()["type"] == "FeatureCollection"


def test_a_crowd_is_answered_together_as_one_by_one(server):
    from nuclear_models import picture
    from pathology.models import serve_lizard

    pictures = [picture(seed, 96, 96) for seed in range(20)] + [picture(seed, 130, 270) for seed in range(4)]
    bodies = [encoded(one) for one in pictures] + [encoded(one, "JPEG") for one in pictures[:4]]
    headers = [NPY] * 24 + [{**NPY, **JPEG}] * 4
    alone = [label_map(server.post(*one, seconds=PATIENT_SECONDS)) for one in zip(bodies, headers, strict=True)]
    before = len(entries(server.text()))
    together = [label_map(answer) for answer in crowd(server, list(zip(bodies, headers, strict=True)))]
    for one, other in zip(alone, together, strict=True):
        assert one.shape == other.shape
        assert np.mean((one[..., 0] > 0) != (other[..., 0] > 0)) < 0.001  # sums depend on the batch, by their last bit
    assert len({labels.tobytes() for labels in alone}) == len(alone), "the answers tell the pictures apart"
    batches = [entry["batch"] for entry in entries(server.text())[before:] if entry["event"] == "request"]
    assert len(batches) == 28 and 1 < max(batches) <= serve_lizard.BATCH


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_is_a_4xx_and_one_line(server, name):
    content, headers, status = REFUSED[name]
    assert_refused(server.post(content(), headers, seconds=PATIENT_SECONDS), status)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.new("RGB", (31, 400)), "at least 32 px a side"),
        (Image.new("1", (2049, 2048)), "at most 4,194,304 in all are read"),
    ],
)
def test_pictures_out_of_bounds_are_refused(server, image, said):
    answer = server.post(encoded(image), seconds=PATIENT_SECONDS)
    assert_refused(answer, 400)
    assert said in answer.json()["error"]


def test_for_an_answer_that_there_is_not_the_model_does_not_work(server):
    from nuclear_models import picture

    answer = server.post(encoded(picture(0)), {**PNG, "Accept": "text/csv"})
    assert_refused(answer, 406)
    assert "batch" not in entries(server.text())[-1]


def test_a_label_map_beyond_what_an_endpoint_may_answer_is_refused(server):
    side = 1280
    answer = server.post(encoded(Image.new("RGB", (side, side), "white")), NPY, seconds=PATIENT_SECONDS)
    assert_refused(answer, 413)
    assert "send a smaller picture" in answer.json()["error"]


def test_pings_are_answered_while_a_large_picture_is_worked_on(server):
    from nuclear_models import picture

    body = encoded(picture(3, 1024, 1024))
    waits = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.post, body, seconds=PATIENT_SECONDS)
        while not running.done():
            since = time.monotonic()
            assert httpx.get(f"{server.url}/ping", timeout=PATIENT_SECONDS).status_code == 200
            waits.append(time.monotonic() - since)
            time.sleep(0.05)
    assert running.result().status_code == 200
    assert len(waits) > 3 and max(waits) < 2, "SageMaker waits two seconds"


@pytest.mark.slow
def test_large_pictures_several_at_once_leave_the_memory_bounded(start, tmp_path):
    """The most that it ever holds, against what it holds when it is warm."""
    from nuclear_models import picture
    from pathology.models.serve_lizard import MOST_PIXELS

    server = start(tmp_path)
    crowd(server, [(encoded(picture(seed)), PNG) for seed in range(16)])
    warm = server.memory("VmRSS")
    bad = [(content(), headers) for content, headers, _ in REFUSED.values()]
    for answer, (*_, status) in zip(crowd(server, bad), REFUSED.values(), strict=True):
        assert_refused(answer, status)
    print(f"warm {warm / 1e6:.0f} MB; refusals: {(server.memory() - warm) / 1e6:.0f} MB more at most")
    side = round(MOST_PIXELS**0.5)
    large = [
        (encoded(picture(0, side, side), compress_level=1), PNG),
        (encoded(picture(1, side, side), "JPEG", progressive=True), JPEG),
        *[(encoded(Image.new("RGB", (side, side), colour)), PNG) for colour in ("white", "pink")],
    ]
    since = time.monotonic()
    statuses = [answer.status_code for answer in crowd(server, large)]
    print(
        f"{len(large)} large in {time.monotonic() - since:.0f} s, {statuses}: {(server.memory() - warm) / 1e6:.0f} MB more at most"
    )
    # Of blots these weights see more nuclei than an answer has room for.
    assert set(statuses[:2]) <= {200, 413} and statuses[2:] == [200, 200]
    assert server.memory() - warm < MOST_GROWTH
    print(f"{(server.memory('VmRSS') - warm) / 1e6:.0f} MB after")
    assert server.post(encoded(picture(5)), seconds=PATIENT_SECONDS).status_code == 200
    assert server.end() == 0


@pytest.mark.slow
def test_sigterm_answers_what_is_in_flight_and_exits_with_0(start, tmp_path):
    from nuclear_models import picture

    server = start(tmp_path)
    bodies = [encoded(picture(seed, 512, 512)) for seed in range(6)]
    alone = label_map(server.post(bodies[0], NPY, seconds=PATIENT_SECONDS))
    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(server.post, body, NPY, seconds=PATIENT_SECONDS) for body in bodies]
        time.sleep(0.5)
        assert not all(one.done() for one in running)
        assert server.end() == 0
        answers = [label_map(one.result()) for one in running]
    assert np.mean((answers[0][..., 0] > 0) != (alone[..., 0] > 0)) < 0.001
    with pytest.raises(httpx.ConnectError):
        server.post(bodies[0])
    (ended,) = [entry for entry in entries(server.text()) if entry["event"] == "ended"]
    assert ended["patches"] == 1 + 6
    assert all(json.loads(line)["level"] != "error" for line in server.text().splitlines())
