"""The requests that deploying makes, of a version, a task's YAML and an environment alone."""

import copy
from pathlib import Path

import pytest
from pathology.contracts.errors import RequestError

from pipelines.config import load_task
from pipelines.service.hosting.plan import MAX_NAME, endpoint_name, plan
from pipelines.service.version import Version

ENCODER = "s3://pathology-111122223333/models/h-optimus-0"
ARN = "arn:aws:sagemaker:us-east-1:111122223333:model-package/pathology-mhist/3"
ARCHIVE = "s3://pathology-111122223333/runs/x/TrainMhist/output/model.tar.gz"


def version(**metadata):
    described = {
        "ModelPackageArn": ARN,
        "ModelPackageVersion": 3,
        "InferenceSpecification": {"Containers": [{"Image": "training@sha256:0", "ModelDataUrl": ARCHIVE}]},
        "CustomerMetadataProperties": {"encoder_uri": ENCODER, **metadata},
    }
    return Version(described, {}, None)


def made(example, task="mhist", of=None, **changes):
    settings = load_task(task, example)
    settings = settings.model_copy(update={"endpoint": settings.endpoint.model_copy(update=changes)})
    return plan(
        example, task, settings, of or version(), f"pathology-{task}", "arn:aws:sts::111122223333:assumed-role/x/me", False
    )


def test_the_encoder_lies_where_the_models_code_looks_for_it(example):
    from pathology.artefact import ADDITIONAL_MODEL

    model = made(example).model
    (encoder,) = model["PrimaryContainer"]["AdditionalModelDataSources"]
    assert encoder["ChannelName"] == Path(ADDITIONAL_MODEL).name
    assert encoder["S3DataSource"] == {"S3Uri": f"{ENCODER}/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    assert model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"] == ARCHIVE
    assert (model["ExecutionRoleArn"], model["VpcConfig"]["Subnets"]) == (example.job_role, list(example.network.subnets))
    with pytest.raises(RequestError, match="does not name its encoder's folder"):
        made(example, of=version(encoder_uri=""))


def test_a_key_is_named_for_disks_that_take_one_alone(example):
    assert "KmsKeyId" not in made(example).config, "g5 encrypts its own"
    assert made(example, task="msi").config["KmsKeyId"] == example.kms_key
    captured = made(example, capture_percent=5).config["DataCaptureConfig"]
    assert captured["KmsKeyId"] == example.kms_key and captured["DestinationS3Uri"].startswith(f"s3://{example.bucket}/")


def test_the_same_has_the_same_names_and_another_setting_another(example):
    first, again = made(example), made(example)
    assert (first.model_name, first.config_name) == (again.model_name, again.config_name)
    assert first.config_name.startswith("pathology-mhist-v3-")
    larger = made(example, instance_count=2)
    assert (larger.model_name, larger.config_name == first.config_name) == (first.model_name, False)
    moved = copy.deepcopy(version().described)
    moved["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] = f"{ARCHIVE}x"
    assert made(example, of=Version(moved, {}, None)).model_name != first.model_name


def test_own_alarms_and_no_alarm_at_all(example):
    policy = made(example, errors_alarm=0)
    assert (policy.alarm, "AutoRollbackConfiguration" in policy.deployment) == (None, False)
    named = made(example, alarms=("slow",)).deployment["AutoRollbackConfiguration"]["Alarms"]
    assert [alarm["AlarmName"] for alarm in named] == ["pathology-mhist-errors", "slow"]


def test_a_name_leaves_room_for_those_of_its_models(example):
    settings = load_task("mhist", example)
    longest = "p" * MAX_NAME
    assert endpoint_name(settings, longest) == longest
    longer = plan(example, "mhist", settings, version(), longest, "me", True)
    assert len(longer.config_name) <= 63 and longer.tags["unapproved"].endswith("allowed by me")
    for name in (f"{longest}p", "-x", "x--", "x_y"):
        with pytest.raises(RequestError, match="letters, digits and single hyphens"):
            endpoint_name(settings, name)
