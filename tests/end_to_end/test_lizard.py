"""The lizard pipeline whole, through its verbs, on this machine: arrays in, a registered model version out."""

import csv
import json

import numpy as np
import pytest
from laptop import RUNS, Laptop
from pathology.contracts.description.evaluated import evaluation_sha256
from pathology.contracts.lizard.patches import LIZARD_CLASSES
from served import version_of, versions_answered

from demo.nuclei import make_nuclei
from pipelines.local.client import LocalSageMaker
from tests.made import made_once

pytestmark = pytest.mark.slow

PATCHES, SOURCES = 24, 8
VALUES = {
    "DatasetUri": "s3://local/nuclei",
    "EncoderUri": "s3://local/tiny",
    "PublishedCounts": "false",
    "Epochs": "1",
    "BatchSize": "4",
    "Width": "4",
    "MinBpq": "0",
    "GateOn": "value",  # too few source images for an interval
}


def make_run(folder):
    """An account in which the pipeline has run once."""
    laptop = Laptop(folder / "state", "lizard", VALUES)
    make_nuclei(laptop.path("nuclei"), PATCHES, sources=SOURCES)
    laptop.run_first()


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """A copy of it."""
    laptop = Laptop(tmp_path_factory.mktemp("laptop") / "state", "lizard", VALUES)
    return laptop.take_over(made_once("lizard-run", make_run, also=RUNS))


def test_a_run_ends_in_a_model_version_and_says_how_good_it_is(laptop):
    out = laptop.first
    assert "bPQ: " in out and "95% interval" in out
    assert "model-package/pathology-lizard/1 (version 1, PendingManualApproval)" in out
    assert "<html" in laptop.report().read_text()
    evaluation = json.loads(laptop.report().with_name("evaluation.json").read_text())
    assert evaluation["pathology"]["task"] == "lizard"
    rows = list(csv.DictReader(laptop.report().with_name("predictions.csv").open()))
    assert len(rows) == 7 * evaluation["pathology"]["n"]


def test_the_version_says_what_it_takes_gives_and_needs(laptop):
    version = LocalSageMaker(laptop.state).describe_model_package(ModelPackageName="pathology-lizard/1")
    inference = version["InferenceSpecification"]
    assert inference["SupportedContentTypes"] == ["image/png", "image/jpeg"]
    assert set(inference["SupportedResponseMIMETypes"]) == {"application/geo+json", "application/json", "application/x-npy"}
    assert set(inference["Containers"][0]) == {"Image", "ModelDataUrl"}
    assert version["CustomerMetadataProperties"] == {
        "task": "lizard",
        "fine-tuning": "frozen",
        "labels": ":".join(LIZARD_CLASSES),
        "encoder": laptop.encoder.name,
        "encoder_sha256": laptop.encoder.sha256,
        "encoder_origin": "placeholder with seeded weights",
        "encoder_uri": "s3://local/tiny",
        **laptop.drift_baseline(),
        "model_version": json.loads(laptop.report().with_name("evaluation.json").read_text())["pathology"]["model"]["version"],
        "gate": "bPQ at least 0 - no approved version to compare with",
        "looks": "1",
        "execution": laptop.report().parents[2].name,
        "evaluation_sha256": evaluation_sha256(json.loads(laptop.report().with_name("evaluation.json").read_text())),
    }
    assert version["ModelCard"]["ModelCardStatus"] == "Draft"


def test_the_endpoint_and_the_registry_call_the_model_the_same(laptop, tmp_path):
    registered = version_of(laptop)["CustomerMetadataProperties"]["model_version"]
    assert versions_answered(laptop, tmp_path) == {registered}
    assert f"model version: {registered}, as an endpoint of it answers" in laptop.first


def test_training_read_the_arrays_on_the_file_system(laptop):
    assert len(list(laptop.state.glob("efs/*/datasets/**/*.npy"))) == 2


def test_nothing_changed_is_cached_and_another_class_is_not(laptop):
    settled = {"TrainLizard", "EvaluateLizard"}
    assert laptop.start().returncode == 0
    assert laptop.cached() == settled
    assert laptop.start(Fold="1").returncode == 0
    assert not laptop.cached()


def test_below_the_threshold_nothing_is_registered(laptop):
    failed = laptop.start(MinBpq="0.99")
    assert failed.returncode == 1
    assert "bPQ 0." in failed.stdout
    assert "is below 0.99, by" in failed.stdout and "; nothing was registered" in failed.stdout
    assert "RegisterLizard" not in laptop.steps()


def test_labels_that_are_wrong_end_the_run_before_training(laptop):
    """One nucleus of a seventh class, in a copy of the data."""
    wrong = laptop.path("wrong")
    wrong.mkdir()
    for path in laptop.path("nuclei").iterdir():
        (wrong / path.name).write_bytes(path.read_bytes())
    labels = np.load(wrong / "labels.npy")
    labels[3, :, :, 1][labels[3, :, :, 0] == 1] = 7
    np.save(wrong / "labels.npy", labels)
    failed = laptop.start(DatasetUri=laptop.uri("wrong"))
    assert failed.returncode == 1
    assert "class 7" in laptop.steps()["PrepareLizard"]["FailureReason"]
    assert set(laptop.steps()) == {"PrepareLizard"}
