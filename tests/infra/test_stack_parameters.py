"""The templates with other parameters than the defaults, under moto."""

import pytest
from deploying import REGION, client, deploy, deploy_one

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


def own_network():
    """A VPC with two subnets, as a platform engineer has one; the platform's parameters for it."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"{REGION}{'ab'[number]}")["Subnet"][
            "SubnetId"
        ]
        for number in (0, 1)
    ]
    return {"VpcId": vpc, "PrivateSubnetAId": subnets[0], "PrivateSubnetBId": subnets[1]}


def test_the_platform_deploys_in_a_vpc_of_ones_own():
    own = own_network()
    before = client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    outputs = deploy_one("pathology", "platform-stack", **own, MakeFlowLog="no")
    assert (outputs["VpcId"], outputs["PrivateSubnetIds"]) == (
        own["VpcId"],
        f"{own['PrivateSubnetAId']},{own['PrivateSubnetBId']}",
    )
    groups = [outputs[f"{name}SecurityGroupId"] for name in ("Job", "Notebook", "Efs")]
    described = client("ec2").describe_security_groups(GroupIds=groups)["SecurityGroups"]
    assert {group["VpcId"] for group in described} == {own["VpcId"]}
    targets = client("efs").describe_mount_targets(FileSystemId=outputs["EFSFileSystemId"])["MountTargets"]
    assert {target["SubnetId"] for target in targets} == {own["PrivateSubnetAId"], own["PrivateSubnetBId"]}
    assert client("ec2").describe_vpc_endpoints()["VpcEndpoints"] == before
    assert client("ec2").describe_flow_logs()["FlowLogs"] == []


def test_the_platform_is_let_in_to_endpoints_of_ones_own():
    own = own_network()
    group = client("ec2").create_security_group(GroupName="endpoints", Description="x", VpcId=own["VpcId"])["GroupId"]
    outputs = deploy_one("pathology", "platform-stack", **own, EndpointSecurityGroupId=group)
    (described,) = client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    let_in = {(rule["FromPort"], peer["GroupId"]) for rule in described["IpPermissions"] for peer in rule["UserIdGroupPairs"]}
    assert let_in == {(443, outputs["JobSecurityGroupId"]), (443, outputs["NotebookSecurityGroupId"])}
    (log,) = client("ec2").describe_flow_logs()["FlowLogs"]
    assert log["ResourceId"] == own["VpcId"]


def test_the_stack_that_builds_images_finds_what_it_imports():
    deploy()
    deploy_one("builds", "codebuild", InfraStack="pathology")
    groups = client("logs").describe_log_groups()["logGroups"]
    assert sum(group["logGroupName"].startswith("builds-") for group in groups) == 1
