"""The msi endpoint as it is served, its real model inside: what evaluation wrote, attention as GeoJSON, ill will, and its log."""

import json

import pytest
from endpoints import endpoint

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


@pytest.fixture(scope="module")
def predictions(msi_run, tmp_path_factory):
    """What EvaluateMsi writes of the test patients."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
        return msi_run.evaluate(tmp_path_factory.mktemp("evaluation"))[1]


def test_it_answers_what_evaluation_wrote_of_every_test_patient(server, msi_run, predictions):
    """Many at once, so that they wait for one another: bags go through the model one by one, and the numbers are the same."""
    requests = [(body(of(msi_run, row.patient_id)), JSON) for row in predictions]
    answers = server.crowd(requests, 8)
    assert {answer.status_code for answer in answers} == {200}
    for row, answer in zip(predictions, (answer.json() for answer in answers), strict=True):
        assert (answer["probability"], answer["fold_std"]) == (row.probability, row.fold_std)
        assert answer["label"] == ("MSS", "MSI-H")[row.predicted]
    assert len({row.probability for row in predictions}) > len(predictions) // 2
    again = server.crowd(requests, 1)
    assert [answer.content for answer in again] == [answer.content for answer in answers]
