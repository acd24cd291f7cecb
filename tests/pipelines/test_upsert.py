"""Upserting against moto's server, by the calls that reach it."""

import subprocess
import sys
import urllib.request

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from pipelines.builder import build
from pipelines.config import DEFINITIONS, load_task
from pipelines.service import deployment
from pipelines.service.session import Session, open_session


@pytest.fixture
def server(monkeypatch, example):
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=example.bucket)
    yield moto
    moto.stop()


@pytest.fixture
def session(server, example) -> Session:
    return open_session(example)


@pytest.fixture
def calls(session):
    """Operation names of every SageMaker call, in order."""
    made = []
    session.sagemaker.meta.events.register("before-call.sagemaker.*", lambda model, **_: made.append(model.name))
    return made


def test_first_creates_second_changes_nothing(session, built, example, calls):
    first = deployment.upsert(session, built, {"git-commit": "abc"})
    assert (first.pipeline, first.group_created, first.uploaded) == ("created", True, len(built.code))
    deployed = session.sagemaker.describe_pipeline(PipelineName=built.name)
    assert deployed["PipelineDefinition"] == built.text
    assert deployed["RoleArn"] == example.pipeline_role
    tags = {tag["Key"]: tag["Value"] for tag in session.sagemaker.list_tags(ResourceArn=first.arn)["Tags"]}
    assert tags["git-commit"] == "abc"
    assert "abc" not in built.text
    calls.clear()
    second = deployment.upsert(session, built, {"git-commit": "def"})
    assert (second.pipeline, second.group_created, second.uploaded) == ("unchanged", False, 0)
    assert calls == ["DescribeModelPackageGroup", "DescribePipeline"]


def test_a_change_updates(session, built, example, calls):
    deployment.upsert(session, built, {})
    task = load_task("msi", example)
    task = task.model_copy(update={"gate": task.gate.model_copy(update={"min_auroc": 0.9})})
    changed = build("msi", task, example)
    calls.clear()
    assert deployment.upsert(session, changed, {}).pipeline == "updated"
    assert "UpdatePipeline" in calls
    assert deployment.deployed(session, built.name)["Definition"] == changed.definition


def test_code_that_a_job_needs_is_uploaded_whole(session, built, example):
    deployment.upsert(session, built, {})
    for uri, archive in built.code.items():
        key = uri.removeprefix(f"s3://{example.bucket}/")
        assert boto3.client("s3").get_object(Bucket=example.bucket, Key=key)["Body"].read() == archive


def verb(*arguments, cwd=None):
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False, cwd=cwd)


def test_the_verb_creates_then_says_unchanged_then_shows_what_changed(server, tmp_path):
    upsert = ("pipelines.upsert", "--task", "msi", "--environment", "example")
    assert verb(*upsert, "--diff").returncode == 1
    first = verb(*upsert)
    assert first.returncode == 0, first.stderr
    assert "pipeline pathology-msi created" in first.stdout
    assert first.stderr.startswith("environment example (account 111122223333, us-east-1)")
    second = verb(*upsert)
    assert "pipeline pathology-msi unchanged" in second.stdout
    same = verb(*upsert, "--diff")
    assert (same.returncode, same.stdout) == (0, "pipeline pathology-msi is the same\n")

    content = yaml.safe_load((DEFINITIONS / "msi.yaml").read_text())
    content["train"]["hyperparameters"]["epochs"] = 33
    (tmp_path / "msi.yaml").write_text(yaml.safe_dump(content))
    script = (
        "import pathlib, sys, pipelines.config as c\n"
        f"c.load_task.__defaults__ = (pathlib.Path({str(tmp_path)!r}),)\n"
        "from pipelines.cli import run\nfrom pipelines.upsert import upsert\nrun(upsert)\n"
    )
    changed = subprocess.run([sys.executable, "-c", script, *upsert[1:], "--diff"], capture_output=True, text=True, check=False)
    assert changed.returncode == 1, changed.stderr
    assert changed.stdout == "Parameters[Epochs].DefaultValue: 20 → 33\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "brain"), "there is no task 'brain'"),
        (("--task", "msi", "--environment", "nowhere"), "nowhere: there is no such environment"),
        (("--task",), "requires an argument"),
        (("--task", "msi", "--what"), "No such option: --what"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_2(arguments, said):
    done = verb("pipelines.upsert", *arguments)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert "Traceback" not in done.stderr
