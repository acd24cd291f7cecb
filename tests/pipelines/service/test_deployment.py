"""What an upsert calls and leaves, alone and among others, against moto's server."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import boto3
import pytest
from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError

from pipelines.config import LOCAL, load_task
from pipelines.service import deployment
from pipelines.service.session import STATE_VARIABLE, open_session
from tests.waiting import MAX_WAIT_SECONDS


def test_first_creates_second_changes_nothing(session, compiled, example, calls):
    first = deployment.upsert(session, compiled, {"git-commit": "zyx"})
    assert (first.pipeline, first.group_created, first.uploaded) == ("created", True, len(compiled.code))
    deployed = session.sagemaker.describe_pipeline(PipelineName=compiled.name)
    assert deployed["PipelineDefinition"] == compiled.text
    assert deployed["RoleArn"] == example.pipeline_role
    tags = {tag["Key"]: tag["Value"] for tag in session.sagemaker.list_tags(ResourceArn=first.arn)["Tags"]}
    assert tags["git-commit"] == "zyx"
    assert "zyx" not in compiled.text
    calls.clear()
    second = deployment.upsert(session, compiled, {"git-commit": "def"})
    assert (second.pipeline, second.group_created, second.uploaded) == ("unchanged", False, 0)
    assert calls == ["DescribeModelPackageGroup", "DescribePipeline"]


def test_a_change_updates(session, compiled, example, calls):
    from pipelines.builder import build

    deployment.upsert(session, compiled, {})
    task = load_task("msi", example)
    task = task.model_copy(update={"gate": task.gate.model_copy(update={"min_auroc": 0.9})})
    changed = build("msi", task, example)
    calls.clear()
    assert deployment.upsert(session, changed, {}).pipeline == "updated"
    assert "UpdatePipeline" in calls
    assert deployment.deployed(session, compiled.name)["Definition"] == changed.definition


def test_code_that_a_job_needs_is_uploaded_whole(session, compiled, example):
    deployment.upsert(session, compiled, {})
    for uri, archive in compiled.code.items():
        key = uri.removeprefix(f"s3://{example.bucket}/")
        assert boto3.client("s3").get_object(Bucket=example.bucket, Key=key)["Body"].read() == archive


def test_eight_at_once_end_as_one_pipeline(server, compiled, example):
    """All eight have looked, and found nothing, before the first of them creates."""
    everyone = threading.Barrier(8)
    looked = threading.local()

    def meet(model, **_):
        if model.name == "DescribePipeline" and not getattr(looked, "once", False):
            looked.once = True
            everyone.wait(timeout=MAX_WAIT_SECONDS)

    def one(_):
        session = open_session(example)
        session.sagemaker.meta.events.register("after-call.sagemaker.DescribePipeline", meet)
        return deployment.upsert(session, compiled, {})

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(one, range(8)))
    assert sorted(item.pipeline for item in done) == ["created", *["unchanged"] * 7]
    assert len({item.arn for item in done}) == 1
    assert sum(item.uploaded for item in done) == len(compiled.code)
    client = boto3.client("sagemaker")
    assert [item["PipelineName"] for item in client.list_pipelines()["PipelineSummaries"]] == [compiled.name]
    assert client.describe_pipeline(PipelineName=compiled.name)["PipelineDefinition"] == compiled.text


def test_a_definition_over_the_inline_limit_goes_through_s3(session, compiled, example):
    padded = replace(compiled, definition={**compiled.definition, "Metadata": {"x": "x" * deployment.MAX_INLINE_BYTES}})
    requests = []
    session.sagemaker.meta.events.register("provide-client-params.sagemaker.*", lambda params, **_: requests.append(params))
    assert deployment.upsert(session, padded, {}).pipeline == "created"
    (location,) = [request["PipelineDefinitionS3Location"] for request in requests if "PipelineDefinitionS3Location" in request]
    assert not any("PipelineDefinition" in request for request in requests)
    stored = boto3.client("s3").get_object(Bucket=example.bucket, Key=location["ObjectKey"])["Body"].read()
    assert stored.decode() == padded.text


def test_a_definition_over_the_inline_limit_is_unchanged_the_next_time(compiled_local, tmp_path, monkeypatch):
    """In a local account: moto answers a definition that lies in S3 in another form than it was given."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    session = open_session(LOCAL)
    padded = replace(
        compiled_local, description="d" * 10, definition={**compiled_local.definition, "Metadata": {"x": "x" * 110_000}}
    )
    assert deployment.upsert(session, padded, {}).pipeline == "created"
    assert deployment.deployed(session, compiled_local.name)["Definition"] == padded.definition
    assert deployment.upsert(session, padded, {}).pipeline == "unchanged"
    assert deployment.upsert(session, compiled_local, {}).pipeline == "updated"
    assert deployment.deployed(session, compiled_local.name)["Definition"] == compiled_local.definition


def error(code, message, operation="CreatePipeline"):
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class Fickle:
    """A client whose calls fail as told, then pass on."""

    def __init__(self, client, **faults):
        self._client, self._faults = client, faults

    def __getattr__(self, name):
        faults = self._faults.get(name)
        if faults:

            def call(**_):
                fault = faults.pop(0)
                raise fault

            return call
        return getattr(self._client, name)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "ValidationException",
            "Pipeline names must be unique within an AWS account and region. Pipeline with name (x) already exists.",
        ),
        ("ConflictException", "A pipeline with this name already exist."),
        ("ResourceInUse", "Pipeline x."),
    ],
)
def test_somebody_else_created_it_in_either_wording(session, compiled, code, message, monkeypatch):
    monkeypatch.setattr(deployment, "_PAUSES", (0.0, 0.0))
    fickle = replace(session, sagemaker=Fickle(session.sagemaker, create_pipeline=[error(code, message)]))
    assert deployment.upsert(fickle, compiled, {}).pipeline == "created"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ResourceNotFound", "Pipeline 'arn:aws:sagemaker:us-east-1:111122223333:pipeline/x' does not exist."),
        ("ValidationException", "Could not find pipeline with PipelineName x."),
    ],
)
def test_missing_in_either_answer(session, code, message):
    fickle = replace(session, sagemaker=Fickle(session.sagemaker, describe_pipeline=[error(code, message)]))
    assert deployment.deployed(fickle, "x") is None


def test_an_update_in_conflict_is_tried_again_and_one_that_always_is_ends_in_words(session, compiled, monkeypatch):
    monkeypatch.setattr(deployment, "_PAUSES", (0.0, 0.0, 0.0))
    deployment.upsert(session, compiled, {})
    changed = replace(compiled, definition={**compiled.definition, "Metadata": {"changed": "yes"}})
    conflict = error("ConflictException", "There was a conflict.", "UpdatePipeline")
    once = replace(session, sagemaker=Fickle(session.sagemaker, update_pipeline=[conflict]))
    assert deployment.upsert(once, changed, {}).pipeline == "updated"
    always = replace(session, sagemaker=Fickle(session.sagemaker, update_pipeline=[conflict] * 9))
    with pytest.raises(RequestError, match="was changed by others at every try"):
        deployment.upsert(always, compiled, {})


def test_another_error_of_a_change_is_not_taken_for_a_race(session, compiled):
    fickle = replace(
        session, sagemaker=Fickle(session.sagemaker, create_pipeline=[error("ValidationException", "Bad step.")] * 2)
    )
    with pytest.raises(ClientError, match="Bad step"):
        deployment.upsert(fickle, compiled, {})
