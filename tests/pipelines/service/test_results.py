"""What an execution's end says of its model, for each task by the names that its field uses."""

import json
from types import SimpleNamespace

import pytest
from pathology.contracts.errors import DataError
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.service import results

FOLDER = Uri.parse("s3://local/runs/EvaluateLizard/evaluation")


def summary_lines(tmp_path, monkeypatch, task, intervals, **more):
    """Lines on an execution whose evaluation has these ``intervals``."""
    store = FolderStore(tmp_path)
    block = {"task": task, "confidence": 0.95, "intervals": intervals, "warnings": ["few source images"], **more}
    store.write(FOLDER / results.EVALUATION, json.dumps({"pathology": block}).encode())
    monkeypatch.setattr(results, "evaluation_folder", lambda session, state: FOLDER)
    return list(results.summary(SimpleNamespace(store=store), SimpleNamespace(steps=())))


def test_scores_of_nuclei_in_the_order_that_they_are_read(tmp_path, monkeypatch):
    names = ("bpq", "dice", "aji", "detection_f1", "mpq", "mpq_plus", "r2")
    lines = summary_lines(tmp_path, monkeypatch, "lizard", {name: {"value": 0.6, "low": 0.5, "high": 0.7} for name in names})
    assert lines[:-2] == [
        f"{name}: 0.600 (95% interval 0.500 to 0.700)" for name in ("bPQ", "detection F1", "Dice", "mPQ", "mPQ+", "R²")
    ]
    assert lines[-2] == "warning: few source images" and lines[-1].endswith("report.html")


def test_too_few_source_images_have_no_interval(tmp_path, monkeypatch):
    spread = {"value": 0.793, "lowest": 0.784, "highest": 0.798, "clusters": 3}
    (line, *_) = summary_lines(tmp_path, monkeypatch, "lizard", {"bpq": spread})
    assert line == "bPQ: 0.793 (95% interval none; 0.784 to 0.798 as each of 3 source images is left out)"


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ({"CustomerMetadataProperties": {"model_version": "0123456789ab"}}, ["0123456789ab, as an endpoint of it answers"]),
        ({"CustomerMetadataProperties": {"task": "msi"}}, []),  # registered before it was kept
        ({}, []),
    ],
)
def test_a_version_is_called_as_its_endpoint_calls_it(tmp_path, monkeypatch, metadata, shown):
    version = {"ModelPackageArn": "arn:x/1", "ModelPackageVersion": 1, "ModelApprovalStatus": "Approved", **metadata}
    monkeypatch.setattr(results, "model_version", lambda session, state: version)
    lines = summary_lines(tmp_path, monkeypatch, "msi", {})
    assert [line.partition(": ")[2] for line in lines if line.startswith("model version: ")] == shown


def test_scores_of_a_classifier_are_its_own(tmp_path, monkeypatch):
    lines = summary_lines(tmp_path, monkeypatch, "msi", {"auroc": {"value": 0.9, "low": 0.8, "high": 0.95}})
    assert [line.partition(":")[0] for line in lines] == ["AUROC", "warning", "report"]


def test_the_encoder_is_named_with_what_its_name_stands_on(tmp_path, monkeypatch):
    encoder = {"name": "our-own", "sha256": "d" * 64, "origin": "not verified: named by hand"}
    lines = summary_lines(tmp_path, monkeypatch, "msi", {}, encoder=encoder)
    assert lines[0] == f"encoder: our-own, not verified: named by hand, sha256 {'d' * 64}"
    before = {"name": "tiny", "sha256": "d" * 64, "published": False}
    assert summary_lines(tmp_path, monkeypatch, "msi", {}, encoder=before)[0].startswith("encoder: tiny, origin not recorded, ")


def test_the_gate_is_said_with_what_it_judged_and_how_often_the_test_set_was_looked_at(tmp_path, monkeypatch):
    uri = Uri.parse("s3://local/runs/CompareMsi/comparison")
    store = FolderStore(tmp_path)
    judged = {
        "passed": False,
        "message": "the lower bound 0.481 of AUROC 0.754 is below 0.6, by 0.119",
        "looks": 3,
        "warnings": ["w"],
    }
    store.write(uri / "comparison.json", json.dumps(judged).encode())
    outputs = {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "comparison", "S3Output": {"S3Uri": str(uri)}}]}}
    monkeypatch.setattr(results, "described_job", lambda session, step: outputs)
    step = SimpleNamespace(
        step="CompareMsi", status="Succeeded", job="arn:aws:sagemaker:x:y:processing-job/c", model_package=None
    )
    session, state = SimpleNamespace(store=store), SimpleNamespace(steps=(step,))
    assert list(results.summary(session, state)) == [
        f"gate: not passed: {judged['message']}",
        "looks at this test set: 3",
        "warning: w",
    ]
    (uri / "comparison.json").under(tmp_path).write_text("{")
    with pytest.raises(DataError, match="comparison.json: is damaged"):
        results.comparison(session, state)
