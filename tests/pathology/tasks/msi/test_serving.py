"""The four functions that serve: what they answer, what they refuse, and that the packed code alone can run them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from msi_jobs import SETTINGS_HASH, feature_attributes
from pathology.contracts.errors import DataError, RequestError
from pathology.wsi.features import write_features


@pytest.fixture
def served(msi_run, monkeypatch):
    """The loaded ensemble, with the store set."""
    from pathology.tasks.msi.serving import model_fn

    monkeypatch.setenv("PATHOLOGY_URI_ROOT", str(msi_run.uris))
    return model_fn(msi_run.root / "ml" / "model")


def body(slides) -> str:
    return json.dumps({"slides": [{name: getattr(row, name) for name in ("slide_id", "features", "sha256")} for row in slides]})


def of(run, patient):
    return [row for row in run.slides if row.slide_id.startswith(patient)]


def test_one_patient(msi_run, served):
    from pathology.tasks.msi.serving import input_fn, output_fn, predict_fn

    answer = json.loads(output_fn(predict_fn(input_fn(body(of(msi_run, "P000"))), served)))
    assert set(answer) == {
        *("probability", "label", "threshold", "operating_points", "decided_by", "fold_probabilities", "fold_std"),
        *("tiles", "encoder", "model", "model_version"),
    }
    assert answer["fold_std"] == np.std(answer["fold_probabilities"])
    points = {point.name: point.threshold for point in served.config.operating_points}
    assert answer["operating_points"] == points and {points[name] for name in answer["decided_by"]} == {answer["threshold"]}
    assert answer["model_version"] == answer["model"]["sha256"][:12] == served.version
    pooled = sum(row.tiles for row in of(msi_run, "P000"))
    assert answer["tiles"] == {"pooled": pooled, "with_tissue": pooled, "failed": 0, "sampled": 0}
    logits = [np.log(chance / (1 - chance)) for chance in answer["fold_probabilities"]]
    assert answer["probability"] == pytest.approx(1 / (1 + np.exp(-np.mean(logits))))
    assert len(answer["fold_probabilities"]) == 3
    assert answer["label"] == ("MSI-H" if answer["probability"] >= answer["threshold"] else "MSS")
    assert answer["encoder"]["name"] == "tiny" and (answer["encoder"]["placeholder"], answer["encoder"]["verified"]) == (
        True,
        False,
    )


def test_all_slides_of_a_patient_are_one_bag(msi_run, served):
    from pathology.tasks.msi.serving import input_fn, predict_fn

    both = of(msi_run, "P000")
    assert len(both) == 2
    whole = predict_fn(input_fn(body(both)), served).probability
    assert whole == pytest.approx(predict_fn(input_fn(body(both[::-1])), served).probability, abs=1e-6)
    assert whole != predict_fn(input_fn(body(both[:1])), served).probability


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "request: "),
        ("[]", "request: "),
        ('{"slides": []}', "request: slides"),
        ('{"slides": [{"slide_id": "x"}]}', "request: slides.0.features: missing"),
        ('{"slides": [], "more": 1}', "request: "),
        (json.dumps({"slides": [{"slide_id": "../x", "features": "s3://bucket/x.h5", "sha256": "a" * 64}]}), "slides.0.slide_id"),
        (json.dumps({"slides": [{"slide_id": "x", "features": "file:///etc/passwd", "sha256": "a" * 64}]}), "is not a valid URI"),
        (json.dumps({"slides": [{"slide_id": "x", "features": "s3://bucket/x.h5", "sha256": "a"}]}), "slides.0.sha256"),
        (
            json.dumps({"slides": [{"slide_id": "x", "features": "s3://bucket/x", "sha256": "a" * 64}] * 2}),
            "a slide is duplicated",
        ),
        (json.dumps({"slides": [{"slide_id": "x", "features": "s3://bucket/x", "sha256": "a" * 64}] * 65}), "request: slides"),
        (" " * (2**20 + 1), "at most 1,048,576"),
    ],
)
def test_bad_requests_are_one_line(text, message):
    from pathology.tasks.msi.serving import input_fn

    with pytest.raises(RequestError, match=message) as caught:
        input_fn(text, "application/json")
    assert "\n" not in str(caught.value)


def test_only_json_in_and_out(msi_run, served):
    from pathology.tasks.msi.serving import input_fn, output_fn, predict_fn

    for kind in ("application/x-npy", "text/csv", ""):
        with pytest.raises(RequestError, match="send application/json"):
            input_fn("{}", kind)
    prediction = predict_fn(input_fn(body(of(msi_run, "P001")), "application/json; charset=utf-8"), served)
    with pytest.raises(RequestError, match="the answer is application/json"):
        output_fn(prediction, "application/x-npy")
    assert output_fn(prediction, "text/html, */*;q=0.1") == output_fn(prediction)


@pytest.mark.parametrize(
    ("attributes", "dimension", "message"),
    [
        (
            {"checkpoint_sha256": "b" * 64, "encoder": "other"},
            16,
            r"by encoder other \(sha256 b{12}…\) and must be by tiny \(sha256 a{12}…\): extract",
        ),
        ({"settings_hash": "f" * 16}, 16, f"settings {'f' * 16} and must be made with {SETTINGS_HASH}: extract"),
        ({}, 8, "8 dimensions and encoder tiny makes 16: extract"),
    ],
)
def test_features_of_another_making_are_refused(msi_run, served, attributes, dimension, message):
    from pathology.tasks.msi.serving import input_fn, predict_fn

    path = msi_run.uris / "s3" / "bucket" / "other.h5"
    sha256 = write_features(path, np.ones((3, dimension)), np.zeros((3, 2)), np.ones(3), feature_attributes() | attributes)
    request = {"slides": [{"slide_id": "other", "features": "s3://bucket/other.h5", "sha256": sha256}]}
    with pytest.raises(DataError, match=f"slide other: .*{message}"):
        predict_fn(input_fn(json.dumps(request)), served)
    request["slides"][0]["sha256"] = "0" * 64
    with pytest.raises(DataError, match="slide other: .* changed"):
        predict_fn(input_fn(json.dumps(request)), served)


def test_the_packed_code_serves_without_the_repository(msi_run, served, tmp_path):
    """A fresh process whose only ``pathology`` is the artefact's own, as on an endpoint."""
    from pathology.tasks.msi.serving import input_fn, output_fn, predict_fn

    model = msi_run.root / "ml" / "model"
    script = """
import json, sys
code, model, body = sys.argv[1:]
sys.path.insert(0, code)
import inference, pathology
assert pathology.__file__.startswith(code), pathology.__file__
answer = inference.output_fn(inference.predict_fn(inference.input_fn(body, "application/json"), inference.model_fn(model)), "*/*")
heavy = {"lightning", "sklearn", "pandas", "matplotlib", "timm", "scipy"} & set(sys.modules)
print(json.dumps({"answer": json.loads(answer), "heavy": sorted(heavy)}))
"""
    text = body(of(msi_run, "P002"))
    done = subprocess.run(
        [sys.executable, "-c", script, str(model / "code"), str(model), text],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["answer"] == json.loads(output_fn(predict_fn(input_fn(text), served)))
    assert result["heavy"] == []
