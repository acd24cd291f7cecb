"""The templates against tools that know CloudFormation: cfn-lint's schemas, moto's resolution; and against what pipelines need."""

import base64
import re

import pytest
from deploying import ACCOUNT, REGION, client, deploy

from infra.checks.notebook import SCRIPT, script_in_template
from infra.checks.storage import REPOSITORIES
from infra.checks.suite import TEMPLATES
from infra.checks.template import parse
from pipelines.config import load_environment, load_task
from pipelines.tasks import NAMES
from steps.environment import Environment
from steps.placement import EFS_ROOTS

SHAPES = {
    "Region": REGION,
    "AccountId": ACCOUNT,
    "VpcId": r"vpc-[0-9a-f]+",
    "PublicSubnetId": r"subnet-[0-9a-f]+",
    "PrivateSubnetIds": r"subnet-[0-9a-f]+,subnet-[0-9a-f]+",
    **{f"PrivateSubnet{letter}Id": r"subnet-[0-9a-f]+" for letter in "AB"},
    "EFSFileSystemId": r"fs-[0-9a-f]{8,17}",
    "SageMakerNotebookInstanceName": r"[A-Za-z0-9-]{1,63}",
    "BucketName": r"[a-z0-9.-]{3,63}",
    "KmsKeyArn": rf"arn:aws:kms:{REGION}:{ACCOUNT}:key/[0-9a-f-]{{36}}",
    "CucimTilerRepositoryUri": rf"{ACCOUNT}\.dkr\.ecr\.{REGION}\.amazonaws\.com/pathology-cucim-tiler",
    "TrainingRepositoryUri": rf"{ACCOUNT}\.dkr\.ecr\.{REGION}\.amazonaws\.com/pathology-training",
    **{f"{name}SecurityGroupId": r"sg-[0-9a-f]+" for name in ("Job", "Notebook", "Efs", "Endpoint")},
    **{f"{name}RoleArn": rf"arn:aws:iam::{ACCOUNT}:role/\S+" for name in ("Pipeline", "Job", "Notebook")},
    **{f"{name}PolicyArn": rf"arn:aws:iam::{ACCOUNT}:policy/\S+" for name in ("Author", "Approver", "Deployer", "InTheVpc")},
}


@pytest.fixture(scope="module")
def outputs():
    from moto import mock_aws

    with mock_aws():
        yield deploy()


@pytest.mark.parametrize("name", TEMPLATES)
def test_cfn_lint_has_nothing_to_say(name):
    from cfnlint.api import lint_file

    assert [str(match) for match in lint_file(TEMPLATES[name])] == []


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_skip_of_checkov_has_its_reason(name):
    for resource, item in parse(TEMPLATES[name])["Resources"].items():
        for skip in item.get("Metadata", {}).get("checkov", {}).get("skip", []):
            assert re.fullmatch(r"CKV2?_AWS_\d+", skip["id"]), resource
            assert len(skip["comment"].split()) >= 5, resource


def test_it_deploys_with_every_output(outputs, parsed):
    assert outputs.keys() == parsed["Outputs"].keys() == SHAPES.keys()
    wrong = {key: value for key, value in outputs.items() if not re.fullmatch(SHAPES[key], value)}
    assert wrong == {}


def test_what_the_outputs_name_is_there(outputs):
    subnets = outputs["PrivateSubnetIds"].split(",")
    described = client("ec2").describe_subnets(SubnetIds=[*subnets, outputs["PublicSubnetId"]])["Subnets"]
    assert {subnet["VpcId"] for subnet in described} == {outputs["VpcId"]}
    assert len({subnet["AvailabilityZone"] for subnet in described if subnet["SubnetId"] in subnets}) == 2
    targets = client("efs").describe_mount_targets(FileSystemId=outputs["EFSFileSystemId"])["MountTargets"]
    assert sorted(target["SubnetId"] for target in targets) == sorted(subnets)
    roles = {role["Arn"] for role in client("iam").list_roles()["Roles"]}
    assert {outputs[f"{name}RoleArn"] for name in ("Pipeline", "Job", "Notebook")} <= roles
    assert outputs["BucketName"] in {bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]}
    assert client("kms").get_key_rotation_status(KeyId=outputs["KmsKeyArn"])["KeyRotationEnabled"]
    repositories = client("ecr").describe_repositories(repositoryNames=list(REPOSITORIES))["repositories"]
    assert {item["repositoryUri"] for item in repositories} == {
        outputs["CucimTilerRepositoryUri"],
        outputs["TrainingRepositoryUri"],
    }
    groups = [outputs[f"{name}SecurityGroupId"] for name in ("Job", "Notebook", "Efs", "Endpoint")]
    assert len(client("ec2").describe_security_groups(GroupIds=groups)["SecurityGroups"]) == len(set(groups)) == 4


def test_the_notebook_starts_with_the_script(outputs):
    from moto.sagemaker.models import sagemaker_backends

    notebook = client("sagemaker").describe_notebook_instance(NotebookInstanceName=outputs["SageMakerNotebookInstanceName"])
    assert notebook["RoleArn"] == outputs["NotebookRoleArn"]
    (name,) = sagemaker_backends[ACCOUNT][REGION].notebook_instance_lifecycle_configurations
    config = client("sagemaker").describe_notebook_instance_lifecycle_config(NotebookInstanceLifecycleConfigName=name)
    script = base64.b64decode(config["OnStart"][0]["Content"]).decode()
    prologue = f"#!/bin/bash\nexport EFS_ID={outputs['EFSFileSystemId']}\nexport AWS_REGION={REGION}\n"
    assert script == prologue + script_in_template()


def test_the_script_makes_the_folders_that_jobs_mount():
    folders = " ".join(f"/{root}" for root in EFS_ROOTS)
    assert f"EFS_DIRECTORIES=${{EFS_DIRECTORIES:-{folders}}}\n" in SCRIPT.read_text()


def test_the_outputs_suffice_for_an_environment(outputs):
    digest = "@sha256:" + "0" * 64
    environment = Environment(
        name="dev",
        region=outputs["Region"],
        account=outputs["AccountId"],
        pipeline_role=outputs["PipelineRoleArn"],
        job_role=outputs["JobRoleArn"],
        bucket=outputs["BucketName"],
        file_system=outputs["EFSFileSystemId"],
        network={"subnets": outputs["PrivateSubnetIds"].split(","), "security_groups": [outputs["JobSecurityGroupId"]]},
        images={
            "cucim_tiler": outputs["CucimTilerRepositoryUri"] + digest,
            "training": outputs["TrainingRepositoryUri"] + digest,
        },
        kms_key=outputs["KmsKeyArn"],
    )
    assert set(Environment.model_fields) - environment.model_fields_set == {"local", "tags", "defaults"}


@pytest.mark.parametrize("task", NAMES)
def test_a_task_registers_in_a_group_that_the_roles_reach(task):
    """The stack makes no groups: upsert does, and the roles' policies name them by this pattern (tests/infra/test_policies.py)."""
    assert load_task(task, load_environment("example")).register_as.group.startswith("pathology-")
