"""The verb environment: a stack in moto's CloudFormation, images in its ECR, and the YAML made of them."""

import json

import boto3
import pytest
import yaml

from pipelines.config import load_environment
from pipelines.service.stack import OUTPUTS
from tests.infra.deploying import deploy as deploy_stacks
from tests.pipelines import account as world

VALUES = {
    "PipelineRoleArn": f"arn:aws:iam::{world.ACCOUNT}:role/stack-PipelineRole-ABC",
    "JobRoleArn": f"arn:aws:iam::{world.ACCOUNT}:role/stack-JobRole-ABC",
    "BucketName": "stack-bucket-abc",
    "EFSFileSystemId": "fs-11112222",
    "PrivateSubnetIds": "subnet-11112222,subnet-33334444",
    "JobSecurityGroupId": "sg-11112222",
    "CucimTilerRepositoryUri": f"{world.ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/pathology-cucim-tiler",
    "TrainingRepositoryUri": f"{world.ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/pathology-training",
    "KmsKeyArn": f"arn:aws:kms:us-east-1:{world.ACCOUNT}:key/11112222-3333-4444-5555-666677778888",
}


def deploy(values=VALUES, name="Pathology", **options):
    """A stack that has these outputs and nothing to speak of besides."""
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {}}},
        "Outputs": {key: {"Value": value} for key, value in values.items()},
    }
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template), **options)


@pytest.fixture(scope="module")
def account(moto):
    """An account for the tests of this module, each of which deploys a stack of its own where it needs another one."""
    with pytest.MonkeyPatch.context() as patch:
        world.enter_account(patch)
        yield


@pytest.fixture(scope="module")
def pushed(account):
    """Both images, by repository."""
    return {name: world.push(name) for name in ("pathology-cucim-tiler", "pathology-training")}


@pytest.fixture(scope="module")
def deployed(pushed):
    """The stack Pathology, with all that an environment is made of."""
    deploy(Tags=[{"Key": "project", "Value": "pathology: a #1 \u00b5m"}])
    return pushed


@pytest.fixture
def other_account(account, monkeypatch):
    """``other_account(number)``: from now on the test is in another account, in which nothing stands."""
    return lambda number: world.enter_account(monkeypatch, number)


def test_a_stack_becomes_an_environment_that_loads(deployed, here, tmp_path):
    done = here("environment", "--stack", "Pathology", "--name", "dev")
    assert done.code == 0, done.err
    assert done.err == f"stack Pathology, CREATE_COMPLETE (account {world.ACCOUNT}, us-east-1)\n"
    (tmp_path / "dev.yaml").write_text(done.out)
    env = load_environment(str(tmp_path / "dev.yaml"))
    assert (env.name, env.local, env.region, env.account) == ("dev", False, "us-east-1", world.ACCOUNT)
    assert (env.pipeline_role, env.job_role) == (VALUES["PipelineRoleArn"], VALUES["JobRoleArn"])
    assert (env.bucket, env.file_system) == ("stack-bucket-abc", "fs-11112222")
    assert env.network.subnets == ("subnet-11112222", "subnet-33334444")
    assert env.network.security_groups == ("sg-11112222",)
    assert env.images.training == f"{VALUES['TrainingRepositoryUri']}@{deployed['pathology-training']}"
    assert env.images.cucim_tiler == f"{VALUES['CucimTilerRepositoryUri']}@{deployed['pathology-cucim-tiler']}"
    assert env.kms_key == VALUES["KmsKeyArn"]
    assert env.tags == {"project": "pathology: a #1 \u00b5m"}
    comments = [line for line in done.out.splitlines() if line.startswith("#")]
    assert "python -m pipelines.environment --stack Pathology --region us-east-1" in comments[0]
    assert f"pathology-training: commit {world.COMMIT}" in comments[-1]


def test_its_name_is_the_stacks_in_small_letters_when_none_is_given(deployed, here):
    assert yaml.safe_load(here("environment", "--stack", "Pathology").out)["name"] == "pathology"
    refused = here("environment", "--stack", "Pathology", "--name", "Not So")
    assert (refused.code, refused.out) == (2, "")
    assert "the outputs of stack Pathology: name" in refused.err


def test_the_image_of_a_commit_that_was_pushed_last(deployed, here, before_send, aws_response):
    """Two pages; the newest has no commit's tag, the oldest comes last."""
    digests = {name: "sha256:" + name * 64 for name in "abc"}
    at = {
        "a": (1_790_000_000, ["0123456789ab"]),
        "b": (1_800_000_000, ["latest", "abcdef"]),
        "c": (1_780_000_000, ["ffffffffffff"]),
    }
    details = [{"imageDigest": digests[name], "imagePushedAt": when, "imageTags": tags} for name, (when, tags) in at.items()]

    def two_pages(request, **_):
        if not str(request.headers.get("X-Amz-Target", "")).rstrip("'").endswith("DescribeImages"):
            return None
        second = "nextToken" in json.loads(request.body)
        return aws_response(200, {"imageDetails": details[2:]} if second else {"imageDetails": details[:2], "nextToken": "more"})

    before_send(two_pages)
    images = yaml.safe_load(here("environment", "--stack", "Pathology").out)["images"]
    assert {image.rpartition("@")[2] for image in images.values()} == {digests["a"]}


@pytest.mark.parametrize(("tag", "number"), [(None, world.OTHERS[0]), ("latest", world.OTHERS[1])])
def test_without_an_image_of_a_commit_nothing_is_printed(other_account, here, tag, number):
    """A file that names an image which cannot exist would look usable; an empty one does not."""
    other_account(number)
    deploy({key: value.replace(world.ACCOUNT, number) for key, value in VALUES.items()})
    world.push("pathology-cucim-tiler")
    if tag:
        world.push("pathology-training", tag=tag)
    done = here("environment", "--stack", "Pathology")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1] == (
        "error: no image tagged with a commit in ECR: run containers/build_and_push.sh training, then this again"
    )


@pytest.mark.parametrize("output", sorted(OUTPUTS.values()))
def test_an_output_that_is_missing_is_named(pushed, here, output):
    stack = f"No{output}"
    deploy({key: value for key, value in VALUES.items() if key != output}, stack)
    done = here("environment", "--stack", stack)
    assert (done.code, done.out) == (2, "")
    assert f"stack {stack} has no output {output}: " in done.err


def test_another_template_s_stack_is_refused(pushed, here):
    deploy({**VALUES, "TrainingRepositoryUri": "docker.io/somebody/training"}, "Another")
    done = here("environment", "--stack", "Another")
    assert (done.code, done.out) == (2, "")
    assert "docker.io/somebody/training is not a valid ECR repository" in done.err


def test_no_such_stack(account, here):
    done = here("environment", "--stack", "nowhere", "--region", "eu-central-1")
    assert (done.code, done.out) == (2, "")
    assert "error: there is no stack nowhere in eu-central-1: deploy infra/platform-stack.yml" in done.err


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("CREATE_IN_PROGRESS", "wait until it is done"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "wait until it is done"),
        ("ROLLBACK_COMPLETE", "look at its events"),
        ("UPDATE_ROLLBACK_FAILED", "look at its events"),
        ("DELETE_IN_PROGRESS", "deploy it again"),
        ("UPDATE_ROLLBACK_COMPLETE", None),
    ],
)
def test_a_stack_that_is_not_done_is_refused_and_one_put_back_is_taken(pushed, here, before_send, aws_response, status, advice):
    outputs = "".join(f"<member><OutputKey>{k}</OutputKey><OutputValue>{v}</OutputValue></member>" for k, v in VALUES.items())
    identity = f"arn:aws:cloudformation:us-east-1:{world.ACCOUNT}:stack/Pathology/1"
    body = (
        '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>'
        f"<StackName>Pathology</StackName><StackId>{identity}</StackId><StackStatus>{status}</StackStatus>"
        f"<CreationTime>2026-01-01T00:00:00Z</CreationTime><Outputs>{outputs}</Outputs>"
        "</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    )
    before_send(
        lambda request, **_: aws_response(200, body.encode(), kind="text/xml") if b"DescribeStacks" in _bytes(request) else None
    )
    done = here("environment", "--stack", "Pathology")
    if advice is None:
        assert done.code == 0, done.err
        assert "its last update was rolled back" in done.err
        assert yaml.safe_load(done.out)["bucket"] == "stack-bucket-abc"
    else:
        assert (done.code, done.out) == (2, "")
        assert f"error: stack Pathology is {status}: " in done.err
        assert advice in done.err


def _bytes(request):
    return request.body if isinstance(request.body, bytes) else str(request.body).encode()


def test_only_what_is_asked_reaches_standard_output_when_access_is_denied(deployed, here, before_send, aws_response):
    message = f"User: arn:aws:iam::{world.ACCOUNT}:user/me is not authorized to perform: ecr:DescribeImages on resource: x"

    def refuse(request, **_):
        ecr = "ContainerRegistry" in str(request.headers.get("X-Amz-Target", ""))
        return aws_response(400, {"__type": "AccessDeniedException", "message": message}) if ecr else None

    before_send(refuse)
    done = here("environment", "--stack", "Pathology")
    assert (done.code, done.out) == (2, "")
    assert "lacks the permission ecr:DescribeImages" in done.err


def test_the_real_templates_outputs_are_an_environment(other_account, here, quick, tmp_path):
    other_account(world.OTHERS[2])
    pushed = {name: world.push(name) for name in ("pathology-cucim-tiler", "pathology-training")}
    deploy_stacks("dev", MakeRegistries="no")
    done = here("environment", "--stack", "dev")
    assert done.code == 0, done.err
    (tmp_path / "dev.yaml").write_text(done.out)
    env = load_environment(str(tmp_path / "dev.yaml"))
    existing = {subnet["SubnetId"] for subnet in boto3.client("ec2").describe_subnets()["Subnets"]}
    assert len(env.network.subnets) == 2
    assert set(env.network.subnets) <= existing
    boto3.client("s3").head_bucket(Bucket=env.bucket)
    assert boto3.client("efs").describe_file_systems(FileSystemId=env.file_system)["FileSystems"][0]["Encrypted"]
    for role in (env.pipeline_role, env.job_role):
        assert boto3.client("iam").get_role(RoleName=role.rpartition("/")[2])["Role"]["Arn"] == role
    assert env.images.training.endswith(pushed["pathology-training"])
    assert seen_by_the_doctor(here, tmp_path / "dev.yaml") >= HEALTHY


HEALTHY = {
    *("pipeline role", "job role", "bucket", "bucket encryption", "image cucim_tiler", "image training"),
    *("subnets", "security groups", "file system", "mount targets", "NFS"),
    *(f"endpoint {service}" for service in world.INTERFACES),
}
"""What the doctor finds well on the real templates; moto drops versions, public access blocks, DNS and routes' associations."""


def seen_by_the_doctor(here, path):
    lines = json.loads(here("doctor", "--environment", str(path), "--task", "msi", "--json").out)
    return {line["check"] for line in lines if line["state"] == "ok"}
