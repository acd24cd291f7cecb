"""The lizard endpoint as it is served, its real model inside: answers as in process, ill will, its memory, and its end."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from endpoints import JPEG, PNG, assert_all_refused, assert_batched, assert_refused, encoded, end_in_flight, endpoint, entries
from nuclear_models import endpoint_root, picture
from PIL import Image

MAX_GROWTH = 900e6
"""bytes beyond a warm server's: 150 for each px of the one large picture that is worked on, and the others that wait or are read."""
GEOJSON, NPY = ({**PNG, "Accept": kind} for kind in ("application/geo+json", "application/x-npy"))


@pytest.fixture(scope="module")
def model():
    """The same in process."""
    from pathology.artefact import ADDITIONAL_MODEL
    from pathology.tasks.lizard import serving

    return serving.model_fn(endpoint_root() / "model", endpoint_root() / ADDITIONAL_MODEL)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = endpoint(endpoint_root(), tmp_path_factory.mktemp("server"))
    yield server
    assert server.end() == 0


@pytest.fixture(scope="module")
def worn(tmp_path_factory):
    """One whose encoder has adapters, and that is first overworked and then ended."""
    server = endpoint(endpoint_root("lora"), tmp_path_factory.mktemp("worn"))
    yield server
    if server.process.poll() is None:
        server.process.kill()


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


@pytest.mark.parametrize(("height", "width"), [(256, 256), (260, 300), (32, 90)])
def test_both_answers_are_those_of_the_model_in_process(server, model, height, width):
    from pathology.tasks.lizard import serving

    body = encoded(picture(1, height, width))
    (expected,) = serving.predict_fn([serving.input_fn(body)], model)
    labels = label_map(server.post(body, NPY))
    assert labels.dtype == np.uint16 and np.array_equal(labels, expected.labels)
    answer = server.post(body, GEOJSON)
    assert answer.headers["content-type"] == "application/geo+json"
    collection = answer.json()
    assert collection["model_version"] == model.version and collection["mpp"] == 0.5
    assert collection["counts"] == expected.counts() and sum(expected.counts().values()) == len(collection["features"])
    assert np.array_equal(rasterised(collection, height, width), labels[..., 0])


@pytest.mark.parametrize(
    ("accept", "kind"), [("application/json", "application/json"), ("*/*", "application/geo+json"), ("", "application/geo+json")]
)
def test_the_content_type_follows_the_answer(server, accept, kind):
    answer = server.post(encoded(picture(2, 64, 64)), {**PNG, "Accept": accept})
    assert answer.headers["content-type"] == kind
    assert answer.json()["type"] == "FeatureCollection"


def test_a_crowd_is_answered_together_as_one_by_one(server):
    from pathology.tasks.lizard import serving

    pictures = [picture(seed, 96, 96) for seed in range(8)] + [picture(seed, 130, 270) for seed in range(2)]
    requests = [(encoded(one), NPY) for one in pictures] + [(encoded(one, "JPEG"), {**NPY, **JPEG}) for one in pictures[:2]]
    alone = [label_map(server.post(*request)) for request in requests]
    answers = server.together(requests)
    for one, other in zip(alone, map(label_map, answers), strict=True):
        assert one.shape == other.shape
        assert np.mean((one[..., 0] > 0) != (other[..., 0] > 0)) < 0.001  # sums depend on the batch, by their last bit
    assert len({labels.tobytes() for labels in alone}) == len(alone), "the answers tell the pictures apart"
    assert_batched(server, answers, serving.BATCH)


def test_each_refusal_is_a_4xx_and_one_line(server):
    assert_all_refused(server, clients=4)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.new("RGB", (31, 400)), "at least 32 px a side"),
        (Image.new("1", (2049, 2048)), "at most 4,194,304 in all are read"),
    ],
)
def test_pictures_out_of_bounds_are_refused(server, image, said):
    answer = server.post(encoded(image))
    assert_refused(answer, 400)
    assert said in answer.json()["error"]


def test_for_an_answer_that_there_is_not_the_model_does_not_work(server):
    begun = server.count("begun")
    answer = server.post(encoded(picture(0)), {**PNG, "Accept": "text/csv"})
    assert_refused(answer, 406)
    (entry,) = [entry for entry in server.logged("request") if entry["request"] == answer.headers["X-Request-Id"]]
    assert "batch" not in entry and server.count("begun") == begun


@pytest.mark.slow
def test_pings_are_answered_while_a_large_picture_is_worked_on(server):
    """Neither the network nor the search for nuclei nor the writing of outlines keeps the loop from answering."""
    answered = 0
    with ThreadPoolExecutor(1) as pool:
        with server.held():
            running = server.submit_first(pool, (encoded(picture(3, 512, 512)), PNG))
        while not running.done():
            assert server.ask("GET", "/ping").status_code == 200
            answered += not running.done()
            time.sleep(0.02)
        assert running.result().status_code == 200
    assert answered > 3


@pytest.mark.slow
def test_large_pictures_several_at_once_leave_the_memory_bounded(worn):
    """The most that it ever holds, against what it holds when it is warm."""
    from pathology.tasks.lizard.serving import MAX_PIXELS

    worn.crowd([(encoded(picture(seed)), PNG) for seed in range(16)], 16)
    warm = worn.memory("VmRSS")
    assert_all_refused(worn, clients=16)
    print(f"warm {warm / 1e6:.0f} MB; refusals: {(worn.memory() - warm) / 1e6:.0f} MB more at most")
    side = round(MAX_PIXELS**0.5)
    large = [
        (encoded(picture(0, side, side, grain=32), compress_level=1), PNG),
        (encoded(Image.new("RGB", (side, side), "white"), "JPEG", progressive=True), {**JPEG, "Accept": NPY["Accept"]}),
        (encoded(Image.new("RGBA", (side, side), (255, 0, 0, 128))), PNG),
    ]
    answers = worn.crowd(large, len(large))
    statuses = [answer.status_code for answer in answers]
    print(f"{len(large)} large, {statuses}: {(worn.memory() - warm) / 1e6:.0f} MB more at most")
    # A label map of so many px is more than an endpoint may send; that pixels are transparent is known when they are decoded.
    assert statuses == [200, 413, 400]
    assert "send a smaller picture" in answers[1].json()["error"]
    assert worn.memory() - warm < MAX_GROWTH
    print(f"{(worn.memory('VmRSS') - warm) / 1e6:.0f} MB after")
    assert worn.post(encoded(picture(5))).status_code == 200


@pytest.mark.slow
def test_sigterm_answers_what_is_in_flight_and_exits_with_0(worn):
    bodies = [encoded(picture(seed, 128, 128)) for seed in range(7)]
    alone = label_map(worn.post(bodies[0], NPY))
    answers = end_in_flight(worn, [(body, NPY) for body in bodies])
    labels = [np.load(io.BytesIO(answer), allow_pickle=False) for answer in answers]
    assert np.mean((labels[0][..., 0] > 0) != (alone[..., 0] > 0)) < 0.001
    assert {one.shape for one in labels} == {(128, 128, 2)}
    assert all(entry["level"] != "error" for entry in entries(worn.text()))
