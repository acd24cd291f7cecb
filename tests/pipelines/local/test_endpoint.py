"""SageMaker for jobs of a local run, asked by boto3 and by hand."""

import contextlib
import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from pipelines.local.endpoint import Endpoint
from pipelines.local.locks import locked
from pipelines.service.errors import explain
from tests.waiting import until

GROUP = {"ModelPackageGroupName": "models"}


@pytest.fixture
def versions(account):
    """Three versions, the second one approved; their ARNs."""
    account.client.create_model_package_group(**GROUP)
    arns = [
        account.client.create_model_package(**GROUP, CustomerMetadataProperties={"task": "msi"})["ModelPackageArn"]
        for _ in range(3)
    ]
    account.client.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus="Approved", ApprovalDescription="as seen")
    return arns


@pytest.fixture
def endpoint(account):
    with Endpoint(account.client, "k3j9x2m4q8zt") as endpoint:
        yield endpoint


def client_of(endpoint, **changes):
    """boto3's client as a job makes it, without second tries."""
    found = {**endpoint.environment, **changes}
    session = boto3.Session(
        aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=found["AWS_SESSION_TOKEN"],
        region_name=found["AWS_REGION"],
    )
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5)
    return session.client("sagemaker", endpoint_url=found["AWS_ENDPOINT_URL_SAGEMAKER"], config=config)


@pytest.fixture
def asking(endpoint):
    return client_of(endpoint)


def post(endpoint, operation, body, **headers):
    """Status and answer of a request by hand."""
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.server.server_address[1])
    sent = {"X-Amz-Target": f"SageMaker.{operation}", "X-Amz-Security-Token": endpoint.token, **headers}
    connection.request("POST", "/", body, sent)
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def without_metadata(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def test_a_job_asks_as_on_aws_and_the_endpoint_ends_with_its_run(account, make, versions):
    account.pipeline(make.processing("Ask", "ask"))
    execution, steps = account.run()
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    uri = account.job(steps["Ask"])["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    said = json.loads(account.read(f"{uri}/said.json"))
    assert said["same"]
    assert said["metadata"] == {"task": "msi", "looked": "1"}
    assert (said["denied"]["Code"], "ModelApprovalStatus" in said["denied"]["Message"]) == ("AccessDeniedException", True)
    assert account.client.describe_model_package(ModelPackageName=versions[1])["ModelApprovalStatus"] == "Approved"
    until(lambda: not account.runners(), "the end of the runner")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(said["url"].rpartition(":")[2])))
    kept = [path for path in account.root.rglob("*") if path.is_file() and path.name != "said.json"]
    assert not [path for path in kept if said["token"].encode() in path.read_bytes()], "the token is in no file"


def test_answers_are_those_that_verbs_get(account, asking, versions):
    client = account.client
    for call, arguments in (
        ("list_model_packages", GROUP),
        ("list_model_packages", {**GROUP, "ModelApprovalStatus": "Approved", "SortBy": "Name", "SortOrder": "Descending"}),
        ("list_model_packages", {**GROUP, "MaxResults": 2}),
        ("describe_model_package", {"ModelPackageName": versions[1]}),
        ("describe_model_package_group", GROUP),
        ("list_model_package_groups", {"NameContains": "mod"}),
        ("list_tags", {"ResourceArn": versions[0]}),
    ):
        assert without_metadata(getattr(asking, call)(**arguments)) == getattr(client, call)(**arguments), call
    pages = asking.get_paginator("list_model_packages").paginate(
        **GROUP, SortOrder="Descending", PaginationConfig={"PageSize": 2}
    )
    assert [item["ModelPackageVersion"] for page in pages for item in page["ModelPackageSummaryList"]] == [3, 2, 1]


def test_what_a_job_writes_is_added_to_what_was_there(account, asking, versions):
    asking.update_model_package(
        ModelPackageArn=versions[1],
        CustomerMetadataProperties={"baselines": "s3://local/x"},
        CustomerMetadataPropertiesToRemove=["task"],
        ModelLifeCycle={"Stage": "Development", "StageStatus": "PendingApproval"},
        ModelCard={"ModelCardContent": "{}", "ModelCardStatus": "Draft"},
        SourceUri="s3://local/runs/x",
    )
    version = account.client.describe_model_package(ModelPackageName=versions[1])
    assert version["CustomerMetadataProperties"] == {"baselines": "s3://local/x"}
    assert (version["ModelApprovalStatus"], version["ApprovalDescription"]) == ("Approved", "as seen")
    assert (version["ModelLifeCycle"]["Stage"], version["SourceUri"]) == ("Development", "s3://local/runs/x")


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("create_model_package", GROUP),
        ("delete_model_package", {"ModelPackageName": "models/1"}),
        ("start_pipeline_execution", {"PipelineName": "pathology-msi", "ClientRequestToken": "x" * 32}),
        ("delete_pipeline", {"PipelineName": "pathology-msi", "ClientRequestToken": "x" * 32}),
        ("stop_pipeline_execution", {"PipelineExecutionArn": "a" * 20, "ClientRequestToken": "x" * 32}),
        (
            "update_model_package",
            {
                "ModelPackageArn": "arn:aws:sagemaker:us-east-1:000000000000:model-package/models/1",
                "ModelLifeCycle": {"Stage": "Review", "StageStatus": "Approved"},
            },
        ),
        ("create_endpoint", {"EndpointName": "x", "EndpointConfigName": "x"}),
    ],
)
def test_what_no_job_may_do_is_denied_with_the_permission_named(account, asking, versions, call, arguments):
    with pytest.raises(ClientError) as denied:
        getattr(asking, call)(**arguments)
    assert denied.value.response["Error"]["Code"] == "AccessDeniedException"
    operation = "".join(word.title() for word in call.split("_"))
    assert f"assumed-role/local/k3j9x2m4q8zt lacks the permission sagemaker:{operation}" in explain(denied.value)
    assert len(account.client.list_model_packages(**GROUP)["ModelPackageSummaryList"]) == 3


@pytest.mark.parametrize("token", ["", "another", "tökén"])
def test_whoever_is_not_of_the_run_is_refused(endpoint, versions, token):
    status, answer = post(endpoint, "ListModelPackages", json.dumps(GROUP), **{"X-Amz-Security-Token": token.encode()})
    assert (status, answer["__type"]) == (400, "UnrecognizedClientException")
    with pytest.raises(ClientError, match="security token"):
        client_of(endpoint, AWS_SESSION_TOKEN="another").list_model_packages(**GROUP)


@pytest.mark.parametrize(
    ("operation", "body", "status", "code", "words"),
    [
        ("ListModelPackages", "{", 400, "SerializationException", ""),
        ("ListModelPackages", "[]", 400, "SerializationException", "no JSON object"),
        ("ListModelPackages", '{"CreationTimeAfter": "today"}', 400, "SerializationException", "no time"),
        ("ListModelPackages", '{"Grup": "models"}', 400, "ValidationException", "Grup"),
        ("ListModelPackages", '{"ModelPackageGroupName": 7}', 400, "ValidationException", "ModelPackageGroupName"),
        ("ListModelPackages", '{"ModelPackageGroupName": "a_b"}', 400, "ValidationException", "pattern"),
        ("ListModelPackages", '{"ModelPackageGroupName": "models", "SortOrder": "Up"}', 400, "ValidationException", "SortOrder"),
        (
            "ListModelPackages",
            '{"ModelPackageGroupName": "models", "CreationTimeAfter": 1}',
            400,
            "ValidationException",
            "local runs",
        ),
        ("ListModelPackages", '{"ModelPackageGroupName": "none", "MaxResults": null}', 400, "ResourceNotFound", "none"),
        ("DescribeModelPackage", '{"ModelPackageName": "models/9"}', 400, "ResourceNotFound", "models/9"),
        ("Gossip", "{}", 400, "UnknownOperationException", "SageMaker.Gossip"),
        ("ListModelPackages", " " * (2**20 + 1), 413, "RequestEntityTooLarge", "1048576"),
    ],
)
def test_requests_that_the_service_would_not_take(endpoint, versions, operation, body, status, code, words):
    answered, answer = post(endpoint, operation, body)
    assert (answered, answer["__type"], words in answer["message"]) == (status, code, True), answer


def test_metadata_that_the_registry_does_not_take_are_refused(account, endpoint, versions):
    for metadata, words in (({"note": "a, b"}, "pattern"), ({f"key-{n}": "x" for n in range(50)}, "51 entries")):
        body = json.dumps({"ModelPackageArn": versions[0], "CustomerMetadataProperties": metadata})
        status, answer = post(endpoint, "UpdateModelPackage", body)
        assert (status, answer["__type"], words in answer["message"]) == (400, "ValidationException", True), answer
    assert account.client.describe_model_package(ModelPackageName=versions[0])["CustomerMetadataProperties"] == {"task": "msi"}


def test_a_fault_of_ours_is_a_500_and_a_line_in_the_runs_log(endpoint, asking, versions, monkeypatch, capsys):
    monkeypatch.setattr(endpoint.client, "list_model_packages", lambda **_: {"Gossip": 1})
    with pytest.raises(ClientError) as failed:
        asking.list_model_packages(**GROUP)
    assert failed.value.response["Error"]["Code"] == "InternalFailure"
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert capsys.readouterr().err == "a job's ListModelPackages was not answered: KeyError: 'Gossip'\n"
    monkeypatch.undo()
    assert len(asking.list_model_packages(**GROUP)["ModelPackageSummaryList"]) == 3


def test_a_damaged_version_hides_in_no_list(account, asking, versions):
    path = account.root / "model-packages" / "models" / "2.json"
    path.write_bytes(b"")
    for call, arguments in (("list_model_packages", GROUP), ("describe_model_package", {"ModelPackageName": versions[1]})):
        with pytest.raises(ClientError, match=f"{path}: is empty: move it away"):
            getattr(asking, call)(**arguments)


def test_two_changes_at_once_are_a_conflict_or_both_there(account, asking, versions):
    with (
        locked(account.root / "model-packages" / "models" / "1.lock"),
        pytest.raises(asking.exceptions.ConflictException, match="changing"),
    ):
        asking.update_model_package(ModelPackageArn=versions[0], SourceUri="x")

    def add(number):
        with contextlib.suppress(asking.exceptions.ConflictException):
            asking.update_model_package(ModelPackageArn=versions[0], CustomerMetadataProperties={f"by-{number}": "x"})
            return f"by-{number}"

    with ThreadPoolExecutor(8) as pool:
        done = set(pool.map(add, range(24))) - {None}
    assert done
    metadata = account.client.describe_model_package(ModelPackageName=versions[0])["CustomerMetadataProperties"]
    assert set(metadata) == {"task", *done}


def test_a_version_that_is_deleted_is_not_there_and_its_number_not_given_again(account, asking, versions):
    account.client.delete_model_package(ModelPackageName=versions[2])
    with pytest.raises(ClientError, match="does not exist"):
        asking.update_model_package(ModelPackageArn=versions[2], SourceUri="x")
    assert account.client.create_model_package(**GROUP)["ModelPackageArn"].endswith("/4")
    listed = account.client.list_model_packages(**GROUP)["ModelPackageSummaryList"]
    assert [item["ModelPackageVersion"] for item in listed] == [1, 2, 4]


def test_it_listens_on_this_machine_alone_and_no_longer_than_it_should(account):
    with Endpoint(account.client, "k3j9x2m4q8zt") as endpoint:
        assert endpoint.server.server_address[0] == "127.0.0.1"
        asking = client_of(endpoint)
        asking.list_model_package_groups()
    with pytest.raises(EndpointConnectionError):
        asking.list_model_package_groups()


def test_a_job_that_hangs_up_leaves_a_line_and_nothing_else(endpoint, asking, capfd):
    for _ in range(2):
        with socket.create_connection(endpoint.server.server_address) as broken:
            broken.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n")
    assert asking.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    assert "Traceback" not in capfd.readouterr().err
