"""The describe command against a registry that refuses: botocore's own client, its answers written beforehand."""

import json

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber
from msi_jobs import processing_job
from pathology.commands import describe as command
from pathology.contracts.description.describe import DescribeVersion, Description
from pathology.contracts.description.evaluated import evaluation_sha256
from pathology.contracts.description.writing import WAITING, WARNINGS
from pathology.contracts.errors import DataError

from tests.pipelines.registry import evaluation as made

GROUP = "arn:aws:sagemaker:eu-central-1:111122223333:model-package/pathology-msi"
ARN = f"{GROUP}/2"
EVALUATION = made({"cohort": "c" * 64}, {"cohort": "s3://b1x/cohort.csv"}, "d" * 64, "s3://b1x/runs/p/e/TrainMsi/j/model.tar.gz")
DENIED = {"service_error_code": "AccessDeniedException", "service_message": "User: me is not authorized"}
INVALID = {"service_error_code": "ValidationException", "service_message": "no such member"}
SOURCE = "s3://b1x/runs/p/e/TrainMsi/j/model.tar.gz"
CARD = {"ModelCardContent": ANY, "ModelCardStatus": "Draft"}


def registered(number=2, **more):
    """As much of DescribeModelPackage's answer as botocore wants, and a little more."""
    return {
        "ModelPackageName": f"pathology-msi/{number}",
        "ModelPackageArn": f"{GROUP}/{number}",
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "ModelApprovalStatus": "PendingManualApproval",
        "CreationTime": 1794000000,
        **more,
    }


@pytest.fixture(scope="module")
def client():
    import boto3

    given = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}  # pragma: allowlist secret
    return boto3.client("sagemaker", region_name="eu-central-1", **given)


@pytest.fixture
def stub(client):
    """The client's answers, in the order of its questions; each request is held against botocore's model."""
    with Stubber(client) as stubbed:
        yield stubbed
        stubbed.assert_no_pending_responses()


@pytest.fixture
def before(stub):
    """The questions before anything is written: what the version has, and what there is besides."""

    def answers(*others, **has):
        stub.add_response("describe_model_package", registered(**has), {"ModelPackageName": ARN})
        summaries = [
            {"ModelPackageArn": f"{GROUP}/{number}", "ModelPackageStatus": "Completed", "CreationTime": 1794000000}
            for number in (2, *(number for number, _ in others))
        ]
        stub.add_response("list_model_packages", {"ModelPackageSummaryList": summaries}, ANY_LIST)
        for number, metadata in others:
            stub.add_response("describe_model_package", registered(number, CustomerMetadataProperties=metadata))

    return answers


ANY_LIST = {"ModelPackageGroupName": "pathology-msi", "SortBy": ANY, "SortOrder": "Descending", "MaxResults": 100}


def written(stub, **members):
    stub.add_response("update_model_package", {"ModelPackageArn": ARN}, {"ModelPackageArn": ARN, **members})


def refused(stub, how, **members):
    stub.add_client_error("update_model_package", **how, expected_params={"ModelPackageArn": ARN, **members})


def kept(warnings=None, same=None):
    digest = {"evaluation_sha256": evaluation_sha256(EVALUATION)}
    metadata = {**digest, **({"same_as": same} if same else {}), **({WARNINGS: warnings} if warnings else {})}
    return {"CustomerMetadataProperties": metadata}


ALL = {"ModelCard": CARD, "SourceUri": SOURCE, "ModelLifeCycle": WAITING}


def test_all_is_written_at_once(client, stub, before):
    before((1, {"evaluation_sha256": "0" * 64}))
    written(stub, **ALL)
    written(stub, **kept())
    found = command.describe(client, ARN, EVALUATION)
    assert (found.warnings, found.same_as, found.compared_with) == ([], None, 1)
    assert found.written == [*ALL, "CustomerMetadataProperties"]


@pytest.mark.parametrize("name", ALL)
def test_a_member_that_is_refused_leaves_the_others_and_a_warning_that_is_kept(client, stub, before, name):
    before()
    refused(stub, INVALID, **ALL)
    for one, value in ALL.items():
        (refused(stub, INVALID, **{one: value}) if one == name else written(stub, **{one: value}))
    written(stub, **kept(f"{name}: ValidationException"))
    found = command.describe(client, ARN, EVALUATION)
    assert found.warnings == [f"{name}: UpdateModelPackage was refused (ValidationException: no such member)"]
    assert set(found.written) == {*ALL, "CustomerMetadataProperties"} - {name}


def test_no_right_at_all_names_the_permission_and_fails_nothing(client, stub):
    stub.add_client_error("describe_model_package", **DENIED)
    stub.add_client_error("list_model_packages", **DENIED)
    for members in (ALL, *({name: value} for name, value in ALL.items())):
        refused(stub, DENIED, **members)
    stub.add_client_error("update_model_package", **DENIED)
    found = command.describe(client, ARN, EVALUATION)
    assert found.written == []
    missing = [warning.partition(" is missing")[0].rpartition(" ")[2] for warning in found.warnings]
    assert missing == [f"sagemaker:{name}ModelPackage{s}" for name, s in (("Describe", ""), ("List", "s"), *[("Update", "")] * 2)]
    assert found.warnings[2].startswith("ModelCard, SourceUri, ModelLifeCycle: ")


def test_what_is_there_or_decided_stays(client, stub, before):
    """As where Describe runs again after a person was quicker."""
    has = {"ModelCard": {"ModelCardContent": "{}", "ModelCardStatus": "Approved"}, "ModelApprovalStatus": "Rejected"}
    before(**has)
    written(stub, SourceUri=SOURCE)
    written(stub, **kept())
    assert command.describe(client, ARN, EVALUATION).there_already == ["ModelCard"]


def test_somebody_else_s_change_is_waited_for(client, stub, before, monkeypatch):
    monkeypatch.setattr("pathology.contracts.description.writing._PAUSE_SECONDS", 0)
    before()
    refused(stub, {"service_error_code": "ConflictException"}, **ALL)
    written(stub, **ALL)
    written(stub, **kept())
    assert command.describe(client, ARN, EVALUATION).warnings == []


def test_an_earlier_version_that_is_deleted_meanwhile_is_passed_over(client, stub, before):
    before((1, {}))
    stub._queue.pop()
    stub.add_client_error("describe_model_package", "ValidationException", "ModelPackage 1 does not exist.")
    written(stub, **ALL)
    written(stub, **kept())
    assert command.describe(client, ARN, EVALUATION).same_as is None


@pytest.fixture
def job(tmp_path):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
    return processing_job(tmp_path / "job", DescribeVersion(version=ARN), {"evaluation": folder}, ("description",))


def test_the_command_leaves_description_json_and_prints_what_was_refused(client, stub, before, job, monkeypatch, capsys):
    monkeypatch.setattr(command, "open_registry", lambda: client)
    before((1, {"evaluation_sha256": evaluation_sha256(EVALUATION)}))
    refused(stub, INVALID, **ALL)
    for name, value in ALL.items():
        (refused(stub, DENIED, **{name: value}) if name == "SourceUri" else written(stub, **{name: value}))
    written(stub, **kept("SourceUri: no permission sagemaker:UpdateModelPackage", "1"))
    command.main(job)
    left = Description.from_json((job.output("description") / "description.json").read_bytes(), "description.json")
    assert (left.version, left.same_as) == (ARN, 1)
    log = capsys.readouterr().out
    assert "warning: SourceUri: the permission sagemaker:UpdateModelPackage is missing" in log
    assert "python -m pipelines.approve writes what is missing" in log
    assert "the same as version 1" in log


def test_a_registry_that_cannot_be_reached_is_a_warning(client, job, monkeypatch, capsys):
    def unreachable(**_):
        raise EndpointConnectionError(endpoint_url="https://api")

    monkeypatch.setattr(command, "open_registry", lambda: client)
    client.meta.events.register("before-call.sagemaker", unreachable)
    try:
        command.main(job)
    finally:
        client.meta.events.unregister("before-call.sagemaker", unreachable)
    assert "warning: same_as: SageMaker could not be asked (Could not connect" in capsys.readouterr().out


def test_a_damaged_evaluation_is_named(job):
    job.file("evaluation").write_text("[")
    with pytest.raises(DataError, match=r"evaluation\.json: is no JSON object"):
        command.main(job)
