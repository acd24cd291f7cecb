"""The templates with other parameters than the defaults, under moto."""

import pytest
from deploying import REGION, client, deploy

from infra.checks.storage import REPOSITORIES

pytestmark = pytest.mark.usefixtures("mocked")


def test_what_an_earlier_stack_left_is_not_recreated():
    client("ecr").create_repository(repositoryName=REPOSITORIES[1])
    outputs = deploy(MakeRegistries="no")
    assert [item["repositoryName"] for item in client("ecr").describe_repositories()["repositories"]] == [REPOSITORIES[1]]
    assert outputs["TrainingRepositoryUri"].endswith(f"/{REPOSITORIES[1]}")


def test_zones_and_further_endpoints_are_parameters():
    outputs = deploy(ZoneA="us-east-1c", ZoneB="us-east-1d", KmsEndpoint="yes", MonitoringEndpoint="yes")
    subnets = client("ec2").describe_subnets(SubnetIds=outputs["PrivateSubnetIds"].split(","))["Subnets"]
    assert {subnet["AvailabilityZone"] for subnet in subnets} == {"us-east-1c", "us-east-1d"}
    services = {item["ServiceName"] for item in client("ec2").describe_vpc_endpoints()["VpcEndpoints"]}
    assert {f"com.amazonaws.{REGION}.{name}" for name in ("kms", "monitoring", "s3", "sts", "ecr.dkr")} <= services
    assert len(services) == 9


def test_the_stack_that_builds_images_finds_what_it_imports():
    deploy()
    deploy("builds", "codebuild", InfraStack="pathology")
    groups = client("logs").describe_log_groups()["logGroups"]
    assert sum(group["logGroupName"].startswith("builds-") for group in groups) == 1
