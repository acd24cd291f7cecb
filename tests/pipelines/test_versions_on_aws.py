"""The verbs on model versions in an AWS account, on moto's server. moto's UpdateModelPackage takes a life cycle and keeps none, and puts
metadata in place of those that were there; the local account's tests show what the service does."""

import json

import boto3
import pytest
from pathology.contracts.storage import S3Store

from tests.pipelines import registry

ON_AWS = ("--task", "msi", "--environment", "example")


@pytest.fixture
def sagemaker(server):
    client = boto3.client("sagemaker", region_name="us-east-1")
    client.create_model_package_group(ModelPackageGroupName=registry.GROUP)
    return client


@pytest.fixture
def add(sagemaker, example):
    return lambda **changes: registry.add(
        sagemaker, S3Store(boto3.client("s3", region_name="us-east-1")), example.bucket, **changes
    )


def test_versions_are_listed_found_and_asked_what_they_learnt_from(add, here):
    arns = [add(auroc=0.871, patients=("P01", "P02")), add(auroc=0.912, patients=("P02", "P03"))]
    listed = json.loads(here("versions", *ON_AWS, "--trained-on", "P03-DX1", "--json").out)
    assert [(one["version"], one["score"]["value"], one["trained_on"]["seen"]) for one in listed] == [
        (2, 0.912, True),
        (1, 0.871, False),
    ]
    assert here("versions", *ON_AWS).code == 0
    for given, number in (("latest", 2), (arns[0], 1)):
        done = here("version", given, *ON_AWS, "--json")
        assert json.loads(done.out)["version"] == number, done.err
    one = json.loads(here("version", "1", *ON_AWS, "--json").out)
    assert (one["gate"], one["registered_by"]) == ("AUROC at least 0.8", "execution001")
    assert one["report"].startswith("s3://")


def test_who_approves_is_the_caller_that_sts_knows(add, sagemaker, here):
    add()
    add()
    done = here("approve", "1", *ON_AWS, "--note", "read by two")
    assert done.code == 0, done.err
    caller = boto3.client("sts", region_name="us-east-1").get_caller_identity()["Arn"]
    version = sagemaker.describe_model_package(ModelPackageName=json.loads(here("version", "1", *ON_AWS, "--json").out)["arn"])
    assert (version["ModelApprovalStatus"], version["ApprovalDescription"]) == ("Approved", "read by two")
    assert version["CustomerMetadataProperties"]["decided_by"] == caller
    assert json.loads(here("version", "approved", *ON_AWS, "--json").out)["version"] == 1
    assert here("reject", "1", *ON_AWS, "--note", "a site was mislabelled").code == 0
    nothing = here("version", "approved", *ON_AWS)
    assert (nothing.code, "example has no approved version in pathology-msi" in nothing.err) == (2, True)


def test_a_missing_right_is_one_line_that_names_it(add, here, before_send, aws_response):
    add()
    message = (
        "User: arn:aws:sts::111122223333:assumed-role/author/me is not authorized to perform: sagemaker:UpdateModelPackage on "
        "resource: arn:aws:sagemaker:us-east-1:111122223333:model-package/pathology-msi/1"
    )

    def denied(request, **_):
        if b"UpdateModelPackage" in request.headers.get("X-Amz-Target", b""):
            return aws_response(400, {"__type": "AccessDeniedException", "message": message})
        return None

    before_send(denied)
    done = here("approve", "1", *ON_AWS, "--note", "x")
    assert (done.code, "assumed-role/author/me lacks the permission sagemaker:UpdateModelPackage" in done.err) == (2, True)


def test_no_group_yet_and_an_unknown_version(server, here):
    done = here("versions", *ON_AWS)
    assert (done.code, "example has no model package group pathology-msi: python -m pipelines.upsert" in done.err) == (2, True)
    sagemaker = boto3.client("sagemaker", region_name="us-east-1")
    sagemaker.create_model_package_group(ModelPackageGroupName=registry.GROUP)
    done = here("approve", "3", *ON_AWS, "--note", "x")
    assert (done.code, "has no version in pathology-msi yet" in done.err.splitlines()[-1]) == (2, True), done.err
    sagemaker.create_model_package(ModelPackageGroupName=registry.GROUP)
    done = here("version", "3", *ON_AWS)
    assert (done.code, "has no version 3 in pathology-msi: the latest is 1" in done.err) == (2, True)


def test_two_versions_are_compared_and_a_missing_right_on_predictions_is_one_line(add, here, before_send, aws_response):
    patients = registry.tested_patients()
    for seed in (1, 2):
        add(tested={"patients": patients, "probabilities": registry.answers(seed, patients)})
    done = here("compare", *ON_AWS, "1", "latest", "--json")
    found = json.loads(done.out)
    assert (done.code, found["comparable"], found["n"], found["by_id_alone"]) == (0, True, 40, 0), done.err
    assert found["models"]["first"]["evaluation"].startswith("s3://")

    def denied(request, **_):
        if request.url.endswith("predictions.csv"):
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            return aws_response(403, body, kind="application/xml")
        return None

    before_send(denied)
    done = here("compare", *ON_AWS, "1", "2")
    assert (done.code, "lack the permission s3:GetObject" in done.err.splitlines()[-1]) == (2, True), done.err


def test_the_report_of_a_version_is_read_from_s3_and_a_missing_right_is_one_line(
    add, here, example, before_send, aws_response, tmp_path
):
    add()
    key, page = f"runs/{registry.GROUP}/execution001/EvaluateMsi/evaluation/report.html", tmp_path / "report.html"
    boto3.client("s3").put_object(Bucket=example.bucket, Key=key, Body=b"<html>\n<body>\nfigures</body>\n</html>\n")
    done = here("report", "1", *ON_AWS, "--output", str(page), "--json")
    found = json.loads(done.out)
    assert (done.code, found["report"], found["version_status"]) == (
        0,
        f"s3://{example.bucket}/{key}",
        "PendingManualApproval",
    ), done.err
    assert page.read_bytes().endswith(b"</aside>\nfigures</body>\n</html>\n")

    def denied(request, **_):
        if request.url.endswith("report.html"):
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            return aws_response(403, body, kind="application/xml")
        return None

    before_send(denied)
    done = here("report", "1", *ON_AWS, "--output", str(page))
    assert (done.code, "lack the permission s3:GetObject" in done.err.splitlines()[-1]) == (2, True), done.err
