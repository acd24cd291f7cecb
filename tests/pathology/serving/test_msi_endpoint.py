"""The msi endpoint as it is served, its real model inside: what the model in process does, attention as GeoJSON, ill will, and its log."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import numpy as np
import pytest
from endpoints import MIB, PNG, assert_refused, endpoint, listening, whole
from msi_jobs import GRID, SETTINGS_HASH, corners, feature_attributes
from pathology.wsi.features import write_features

from tests.waiting import until

JSON = {"Content-Type": "application/json"}
GEOJSON = {**JSON, "Accept": "application/geo+json"}


@pytest.fixture(scope="module")
def server(msi_run, tmp_path_factory):
    server = endpoint(msi_run.root / "ml", tmp_path_factory.mktemp("server"), PATHOLOGY_URI_ROOT=str(msi_run.uris))
    yield server
    assert server.end() == 0


def named(row):
    return {name: getattr(row, name) for name in ("slide_id", "features", "sha256")}


def body(slides):
    return json.dumps({"slides": slides})


def of(run, patient):
    return [named(row) for row in run.slides if row.slide_id.startswith(patient)]


def logged(server, answer):
    (entry,) = [entry for entry in server.logged("request") if entry["request"] == answer.headers["X-Request-Id"]]
    return entry


def test_it_answers_to_the_byte_what_the_model_in_process_does(server, task, msi_run):
    """Many at once: bags go through the model one by one, so that nobody's answer depends on who else asks."""
    serving, model = task
    patients = sorted({row.patient_id for row in msi_run.cohort})[:12]
    requests = [(body(of(msi_run, patient)), headers) for patient in patients for headers in (JSON, GEOJSON)]
    answers = server.crowd(requests, 8)
    assert {answer.status_code for answer in answers} == {200}
    for (content, headers), answer in zip(requests, answers, strict=True):
        prediction = serving.predict_fn(serving.input_fn(content), model)
        assert answer.content == serving.output_fn(prediction, headers.get("Accept", "*/*"))
    assert len({answer.json()["probability"] for answer in answers}) == len(patients)
    assert {logged(server, answer)["batch"] for answer in answers} == {1}


def test_attention_is_a_tile_each_in_level_0_px_of_its_slide(server, msi_run):
    from pathology.wsi.features import read_features

    answer = server.post(body(of(msi_run, "P000")), GEOJSON)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/geo+json")
    collection, plain = answer.json(), server.post(body(of(msi_run, "P000")), JSON).json()
    assert {name: collection[name] for name in ("probability", "label", "model_version", "tiles")} == {
        name: plain[name] for name in ("probability", "label", "model_version", "tiles")
    }
    tiles = {"P000-0": [], "P000-1": []}
    for one in collection["features"]:
        (ring,) = one["geometry"]["coordinates"]
        (x, y), side = ring[0], GRID["patch_side_level0"]
        assert ring == [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
        tiles[one["properties"]["metadata"]["slide_id"]].append((x, y))
    for slide_id, found in tiles.items():
        coords = read_features(msi_run.feature_file(slide_id), slide_id).coords
        assert sorted(found) == sorted(map(tuple, coords.tolist()))
    attention = [one["properties"]["measurements"]["Attention"] for one in collection["features"]]
    assert attention == sorted(attention, reverse=True) and sum(attention) == pytest.approx(1, abs=1e-4)


PRIVATE = "Jane-Doe-1970"
"""In what clients send: no log may have it."""


def slide(name="x", **changed):
    return {"slide_id": f"{PRIVATE}-{name}", "features": f"s3://bucket/{PRIVATE}/{name}.h5", "sha256": "0" * 64, **changed}


def planted(run, name, *, attributes=None, dimension=16, content=None, grid=GRID):
    """A slide whose feature file is one of another making."""
    path = run.uris / "s3" / "bucket" / PRIVATE / f"{name}.h5"
    sha256 = write_features(
        path, np.ones((3, dimension)), corners(3), np.ones(3), feature_attributes(3) | (attributes or {}), grid=grid
    )
    if content is not None:
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
    return slide(name, sha256=sha256)


REFUSED = {
    "not json": (lambda run: "{", JSON, 400, "request: "),
    "a list": (lambda run: "[]", JSON, 400, "request: "),
    "no slide": (lambda run: body([]), JSON, 400, "request: slides"),
    "65 slides": (lambda run: body([slide(str(number)) for number in range(65)]), JSON, 400, "request: slides"),
    "a slide twice": (lambda run: body([slide(), slide()]), JSON, 400, "a slide is duplicated"),
    "another field": (lambda run: body([slide(label=1)]), JSON, 400, "request: slides.0.label"),
    "a path for an id": (lambda run: body([slide(slide_id="../x")]), JSON, 400, "request: slides.0.slide_id"),
    "no hash": (lambda run: body([slide(sha256="abc")]), JSON, 400, "request: slides.0.sha256"),
    "a file's uri": (lambda run: body([slide(features="file:///etc/passwd")]), JSON, 400, "is not a valid URI"),
    "a path": (lambda run: body([slide(features="/etc/passwd")]), JSON, 400, "is not a valid URI"),
    "a climbing uri": (lambda run: body([slide(features="s3://bucket/../../etc/passwd")]), JSON, 400, "climbs out of its root"),
    "a bucket": (
        lambda run: body([slide(features="s3://bucket")]),
        JSON,
        400,
        "its feature file is gone (s3://bucket: it names no",
    ),
    "a folder": (lambda run: body([slide(features="s3://bucket/features")]), JSON, 400, "its feature file is gone"),
    "nothing there": (lambda run: body([slide()]), JSON, 400, f"slide {PRIVATE}-x: its feature file is gone"),
    "too long a name": (lambda run: body([slide(features=f"s3://bucket/{'x' * 300}")]), JSON, 400, "may not be read by this"),
    "another hash": (
        lambda run: body([planted(run, "changed") | {"sha256": "0" * 64}]),
        JSON,
        400,
        "changed since it was written",
    ),
    "no hdf5": (lambda run: body([planted(run, "text", content=b"tiles")]), JSON, 400, "cannot be read as HDF5"),
    "another encoder": (
        lambda run: body([planted(run, "encoder", attributes={"checkpoint_sha256": "b" * 64})]),
        *(JSON, 400, "must be by tiny"),
    ),
    "other settings": (
        lambda run: body([planted(run, "settings", attributes={"settings_hash": "f" * 16})]),
        *(JSON, 400, f"must be made with {SETTINGS_HASH}"),
    ),
    "another dimension": (lambda run: body([planted(run, "narrow", dimension=8)]), JSON, 400, "8 dimensions and encoder tiny"),
    "over a MiB": (lambda run: " " * (MIB + 1), JSON, 400, "at most 1,048,576 are read"),
    "over 6 MiB": (lambda run: " " * (6 * MIB + 1), JSON, 413, "more than 6,291,456 bytes"),
    "a picture": (lambda run: whole(), PNG, 415, "the content type is not application/json"),
    "no content type": (lambda run: body([slide()]), {}, 415, "the content type is not application/json"),
    "not what we speak": (
        lambda run: body([slide()]),
        {**JSON, "Accept": "text/csv"},
        406,
        "application/json or application/geo+json",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_is_a_4xx_and_one_line_and_the_log_quotes_nothing(server, msi_run, name):
    content, headers, status, said = REFUSED[name]
    answer = server.post(content(msi_run), headers)
    assert_refused(answer, status)
    assert said in answer.json()["error"]
    assert logged(server, answer)["level"] == "info" and logged(server, answer)["status"] == status
    assert PRIVATE not in server.text() and "etc/passwd" not in server.text()
    assert server.ask("GET", "/ping").status_code == 200


def test_without_a_tiles_size_there_is_a_probability_and_no_picture_of_it(server, msi_run):
    asked = body([planted(msi_run, "sizeless", grid={})])
    assert server.post(asked, JSON).status_code == 200
    answer = server.post(asked, GEOJSON)
    assert_refused(answer, 400)
    said = "its feature file does not say how large a tile is"
    assert answer.json()["error"] == f"slide {PRIVATE}-sizeless: {said}: extract it again"
    assert logged(server, answer)["reason"] == f"slide 1 of 1: {said}" and PRIVATE not in server.text()


def test_a_log_says_which_of_the_slides_it_was_and_what_was_wrong(server, msi_run):
    good, *_ = of(msi_run, "P001")
    reasons = {
        "its feature file is gone": slide(),
        "its feature file is not the one with that hash, or not whole": good | {"slide_id": "P9", "sha256": "0" * 64},
        "its features were not made as the model's were": planted(msi_run, "narrow", dimension=8),
    }
    for reason, bad in reasons.items():
        answer = server.post(body([good, bad]), JSON)
        assert answer.status_code == 400 and bad["slide_id"] in answer.json()["error"]
        assert logged(server, answer)["reason"] == f"slide 2 of 2: {reason}"


@pytest.fixture
def task(msi_run, monkeypatch):
    """The task and its model in this process; what it is made of may be changed."""
    from pathology.tasks.msi import serving

    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    copy = SimpleNamespace(**{name: value for name, value in vars(serving).items() if not name.startswith("__")})
    return copy, serving.model_fn(msi_run.root / "ml" / "model")


def test_features_beyond_what_is_held_are_refused_before_they_are_fetched(task, msi_run):
    serving, model = task
    one, fetched = of(msi_run, "P001"), []
    held = sum(msi_run.feature_file(row["slide_id"]).stat().st_size for row in one)
    fetch = serving.FETCHING.fetch
    serving.FETCHING = replace(serving.FETCHING, held=held, fetch=lambda *given: fetched.append(given) or fetch(*given))
    with listening(serving, model) as endpoint:
        assert endpoint.post(body(one), JSON).status_code == 200
        answer = endpoint.post(body(of(msi_run, "P000")), JSON)  # two slides
        assert_refused(answer, 413)
    assert f"and at most {held:,} are held: name less" in answer.json()["error"] and len(fetched) == 1


@pytest.mark.parametrize("stage", ["size", "fetch"])
def test_while_as_much_is_held_or_asked_as_may_be_others_are_told_to_come_again(task, msi_run, monkeypatch, stage):
    serving, model = task
    one, begun, go_on = of(msi_run, "P001"), Event(), Event()
    function = getattr(serving.FETCHING, stage)

    def slow(*given):
        begun.set()
        assert go_on.wait(60)
        return function(*given)

    held = sum(msi_run.feature_file(row["slide_id"]).stat().st_size for row in one)
    serving.FETCHING = replace(serving.FETCHING, held=held, **{stage: slow})
    monkeypatch.setattr("pathology.serving.app.MAX_WAITING", 1)
    with listening(serving, model) as endpoint, ThreadPoolExecutor(1) as pool:
        first = pool.submit(endpoint.post, body(one), JSON)
        until(begun.is_set)
        answer = endpoint.post(body(one), JSON)
        assert_refused(answer, 503)
        assert answer.headers["retry-after"] == "1"
        assert endpoint.ask("GET", "/ping").status_code == 200
        go_on.set()
        assert first.result().status_code == 200
        assert endpoint.post(body(one), JSON).status_code == 200


def test_a_storage_that_does_not_answer_is_a_503_and_no_fault_of_the_model(task, msi_run):
    from pathology.serving.named import UnavailableError

    serving, model = task

    def down(*given):
        raise UnavailableError("the storage of the features does not answer now: try again in a second")

    serving.FETCHING = replace(serving.FETCHING, fetch=down)
    with listening(serving, model) as endpoint:
        for _ in range(4):
            answer = endpoint.post(body(of(msi_run, "P001")), JSON)
            assert_refused(answer, 503)
            assert answer.headers["retry-after"] == "1" and "does not answer now" in answer.json()["error"]
        assert endpoint.ask("GET", "/ping").status_code == 200


def test_a_starting_endpoint_is_proven_on_a_made_up_patient_in_every_content_type(task, monkeypatch):
    from pathology.serving.app import prove

    serving, model = task
    prove(serving, model)
    written = []
    output_fn = serving.output_fn
    serving.output_fn = lambda prediction, accept: written.append((accept, output_fn(prediction, accept)))
    prove(serving, model)
    (json_type, plain), (geojson_type, attention) = written
    assert (json_type, geojson_type) == (JSON["Content-Type"], GEOJSON["Accept"])
    assert json.loads(plain)["tiles"]["pooled"] == len(json.loads(attention)["features"]) == 4
    monkeypatch.setattr("pathology.tasks.msi.serving.attention_geojson", lambda *_, **__: 1 / 0)
    serving.output_fn = output_fn
    with pytest.raises(ZeroDivisionError):
        prove(serving, model)
