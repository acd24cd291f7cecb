"""The mhist pipeline whole, through its verbs, on this machine: patches in, a registered model version out."""

import json
from pathlib import Path

import pytest
from laptop import RUNS, Laptop
from pathology.contracts.description.evaluated import evaluation_sha256
from served import version_of, versions_answered

from demo.patches import make_patches
from pipelines.local.client import LocalSageMaker
from tests.made import made_once

pytestmark = pytest.mark.slow

PATCHES = 60
VALUES = {
    "AnnotationsUri": "s3://local/mhist/annotations.csv",
    "ImagesUri": "s3://local/mhist/images",
    "EncoderUri": "s3://local/tiny/",
    "PublishedCounts": "false",
    "MinAuroc": "0",
}


def make_run(folder):
    """An account in which the pipeline has run once."""
    laptop = Laptop(folder / "state", "mhist", VALUES)
    laptop.path("mhist").mkdir(parents=True)
    make_patches(laptop.path("mhist"), PATCHES)
    laptop.run_first()


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """A copy of it."""
    laptop = Laptop(tmp_path_factory.mktemp("laptop") / "state", "mhist", VALUES)
    return laptop.take_over(made_once("mhist-run", make_run, also=RUNS))


def test_a_run_ends_in_a_model_version_and_says_how_good_it_is(laptop):
    out = laptop.first
    assert "AUROC: " in out and "95% interval" in out
    assert "model-package/pathology-mhist/1 (version 1, PendingManualApproval)" in out
    report = laptop.report()
    assert "<html" in report.read_text()
    evaluation = json.loads(report.with_name("evaluation.json").read_text())
    assert evaluation["pathology"]["task"] == "mhist"


def test_the_version_names_the_encoder_and_how_it_was_fine_tuned(laptop):
    version = LocalSageMaker(laptop.state).describe_model_package(ModelPackageName="pathology-mhist/1")
    assert version["CustomerMetadataProperties"] == {
        "task": "mhist",
        "fine-tuning": "linear",
        "labels": "SSA:HP",
        "encoder": laptop.encoder.name,
        "encoder_sha256": laptop.encoder.sha256,
        "encoder_origin": "placeholder with seeded weights",
        "encoder_uri": "s3://local/tiny",
        **laptop.drift_baseline(),
        "model_version": evaluated(laptop)["model"]["version"],
        "gate": "AUROC lower bound at least 0 - no approved version to compare with",
        "looks": "1",
        "execution": laptop.report().parents[2].name,
        "evaluation_sha256": evaluation_sha256(json.loads(laptop.report().with_name("evaluation.json").read_text())),
    }
    assert version["ModelCard"]["ModelCardStatus"] == "Draft"


def evaluated(laptop):
    return json.loads(laptop.report().with_name("evaluation.json").read_text())["pathology"]


def test_the_endpoint_and_the_registry_call_the_model_the_same(laptop, tmp_path):
    registered = version_of(laptop)["CustomerMetadataProperties"]["model_version"]
    assert versions_answered(laptop, tmp_path) == {registered}
    line = f"model version: {registered}, as an endpoint of it answers"
    assert line in laptop.first and line in laptop.verb("show").stdout
    shown = json.loads(laptop.verb("show", "--json").stdout)["model_version"]
    assert shown["CustomerMetadataProperties"]["model_version"] == registered


def test_the_report_names_the_execution_that_computed_it_also_when_it_is_cached(laptop):
    run = evaluated(laptop)["computed_by"]
    assert f"s3/local/runs/{run['pipeline']}/{run['execution']}/{run['step']}/" in str(laptop.report())
    assert laptop.start().returncode == 0 and "EvaluateMhist" in laptop.cached()
    shown = json.loads(laptop.verb("show", "--json").stdout)
    assert run["execution"] not in shown["arn"] and shown["evaluation"]["pathology"]["computed_by"] == run
    assert f"execution <code>{run['execution']}</code>" in Path(shown["report"]).read_text()


def test_training_read_copies_on_the_file_system(laptop):
    assert len(list(laptop.state.glob("efs/*/datasets/**/*.png"))) > 0
    assert len(list(laptop.state.glob("efs/*/models/*/encoder.json"))) == 1


def test_nothing_changed_is_cached_and_another_vote_is_not(laptop):
    settled = {"TrainMhist", "EvaluateMhist"}
    assert laptop.start().returncode == 0
    assert laptop.cached() == settled
    table = laptop.path("mhist/annotations.csv")
    before = table.read_text()
    table.write_text(before.replace(",SSA,6,", ",SSA,7,", 1) if ",SSA,6," in before else before.replace(",HP,0,", ",HP,1,", 1))
    assert table.read_text() != before
    try:
        assert laptop.start().returncode == 0
        assert not laptop.cached()
    finally:
        table.write_text(before)


def test_below_the_threshold_nothing_is_registered(laptop):
    """With permuted labels there is nothing to learn."""
    laptop.path("chance").mkdir()
    make_patches(laptop.path("chance"), PATCHES, permuted=True)
    data = {"AnnotationsUri": "s3://local/chance/annotations.csv", "ImagesUri": "s3://local/chance/images"}
    failed = laptop.start(MinAuroc="0.99", **data)
    assert failed.returncode == 1
    assert "is below 0.99, by" in failed.stdout and "; nothing was registered" in failed.stdout
    assert "RegisterMhist" not in laptop.steps()


def test_published_counts_that_are_not_met_end_the_run_before_training(laptop):
    failed = laptop.start(PublishedCounts="true")
    assert failed.returncode == 1
    assert "2175" in failed.stdout.replace(",", "")
    assert set(laptop.steps()) == {"PrepareMhist"}
