"""The mhist pipeline whole, through its verbs, on this machine: patches in, a registered model version out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pathology.contracts.uris import Uri
from pathology.models.encoder import find_card
from pathology.models.tiny import make_tiny_encoder

from demo.patches import make_patches
from pipelines.local.client import LocalSageMaker

PATCHES = 60
VALUES = {
    "AnnotationsUri": "s3://local/mhist/annotations.csv",
    "ImagesUri": "s3://local/mhist/images",
    "EncoderUri": "s3://local/tiny/",
    "PublishedCounts": "false",
    "MinAuroc": "0",
}


class Laptop:
    """A local account with patches and an encoder in it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        make_tiny_encoder(self.path("s3://local/tiny"))
        self.path("s3://local/mhist").mkdir(parents=True)
        make_patches(self.path("s3://local/mhist"), PATCHES)

    def path(self, uri: str) -> Path:
        return Uri.parse(uri).under(self.state)

    def verb(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"pipelines.{name}", "--task", "mhist", *arguments]
        env = {**os.environ, "PATHOLOGY_STATE": str(self.state)}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)

    def start(self, **more: str) -> subprocess.CompletedProcess[str]:
        return self.verb("start", *(f"--param={name}={value}" for name, value in {**VALUES, **more}.items()))

    def steps(self) -> dict[str, dict]:
        client = LocalSageMaker(self.state)
        latest = client.list_pipeline_executions(PipelineName="pathology-mhist")["PipelineExecutionSummaries"][0]
        found = client.list_pipeline_execution_steps(PipelineExecutionArn=latest["PipelineExecutionArn"])
        return {step["StepName"]: step for step in found["PipelineExecutionSteps"]}


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """An account in which the pipeline has run once."""
    laptop = Laptop(tmp_path_factory.mktemp("laptop") / "state")
    upserted = laptop.verb("upsert")
    assert upserted.returncode == 0, upserted.stderr
    laptop.first = laptop.start()
    assert laptop.first.returncode == 0, laptop.first.stdout + laptop.first.stderr
    return laptop


def test_a_run_ends_in_a_model_version_and_says_how_good_it_is(laptop):
    out = laptop.first.stdout
    assert "AUROC: " in out and "95% interval" in out
    assert "model-package/pathology-mhist/1 (version 1, PendingManualApproval)" in out
    report = Path(next(line for line in out.splitlines() if line.startswith("report: ")).removeprefix("report: "))
    assert "<html" in report.read_text()
    evaluation = json.loads(report.with_name("evaluation.json").read_text())
    assert evaluation["pathology"]["task"] == "mhist"


def test_the_version_names_the_encoder_and_what_was_tuned(laptop):
    version = LocalSageMaker(laptop.state).describe_model_package(ModelPackageName="pathology-mhist/1")
    container = version["InferenceSpecification"]["Containers"][0]
    assert container["AdditionalModelDataSources"][0]["S3DataSource"]["S3Uri"] == "s3://local/tiny/"
    assert version["CustomerMetadataProperties"] == {
        "task": "mhist",
        "encoder": "s3://local/tiny",
        "tune": "linear",
        "labels": "SSA:HP",
        "encoder_sha256": find_card(laptop.state / "s3" / "local" / "tiny")[1].sha256,
    }


def test_training_read_copies_on_the_file_system(laptop):
    assert len(list(laptop.state.glob("efs/*/datasets/**/*.png"))) > 0
    assert len(list(laptop.state.glob("efs/*/models/*/encoder.json"))) == 1


def test_nothing_changed_is_cached_and_another_vote_is_not(laptop):
    settled = {"PrepareMhist", "TrainMhist", "EvaluateMhist"}
    assert laptop.start().returncode == 0
    assert {name for name, step in laptop.steps().items() if "CacheHitResult" in step} == settled
    table = laptop.path(VALUES["AnnotationsUri"])
    before = table.read_text()
    table.write_text(before.replace(",SSA,6,", ",SSA,7,", 1) if ",SSA,6," in before else before.replace(",HP,0,", ",HP,1,", 1))
    assert table.read_text() != before
    try:
        assert laptop.start().returncode == 0
        assert not {name for name, step in laptop.steps().items() if "CacheHitResult" in step}
    finally:
        table.write_text(before)


def test_below_the_threshold_nothing_is_registered(laptop):
    """With labels dealt out by chance there is nothing to learn."""
    laptop.path("s3://local/chance").mkdir()
    make_patches(laptop.path("s3://local/chance"), PATCHES, shuffled=True)
    data = {"AnnotationsUri": "s3://local/chance/annotations.csv", "ImagesUri": "s3://local/chance/images"}
    failed = laptop.start(MinAuroc="0.99", **data)
    assert failed.returncode == 1
    assert "is below the threshold 0.99; nothing was registered" in failed.stdout
    assert "RegisterMhist" not in laptop.steps()


def test_published_counts_that_are_not_met_end_the_run_before_training(laptop):
    failed = laptop.start(PublishedCounts="true")
    assert failed.returncode == 1
    assert "2175" in failed.stdout.replace(",", "")
    assert set(laptop.steps()) == {"PrepareMhist"}
