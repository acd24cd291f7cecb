"""One thing of an account broken at a time, or many: each has a line of its own, and what is well has none."""

import json

import boto3
import pytest

from tests.pipelines import account as world
from tests.pipelines.health import account, answers, doctor, healthy, other

assert account and answers and doctor and healthy and other  # fixtures


def break_role(account):
    boto3.client("iam").update_assume_role_policy(RoleName="pathology-job", PolicyDocument=json.dumps(world.NO_TRUST))


def break_versions(account):
    boto3.client("s3").put_bucket_versioning(Bucket=account.bucket, VersioningConfiguration={"Status": "Suspended"})


def break_mount_targets(account):
    boto3.client("efs").delete_mount_target(MountTargetId=account.targets[1])


def break_nfs(account):
    group = account.groups["efs"]
    ec2 = boto3.client("ec2")
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[world.rule(2049, account.groups["jobs"])])
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[world.rule(2048, account.groups["jobs"])])


def break_way_out(account):
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2 = boto3.client("ec2")
    ec2.revoke_security_group_egress(GroupId=account.groups["jobs"], IpPermissions=[everything])
    ec2.authorize_security_group_egress(
        GroupId=account.groups["jobs"], IpPermissions=[world.rule(443, account.groups["endpoints"])]
    )


def break_https(account):
    rules = [world.rule(443, account.groups["jobs"])]
    boto3.client("ec2").revoke_security_group_ingress(GroupId=account.groups["endpoints"], IpPermissions=rules)


def break_privacy(account):
    ec2 = boto3.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=account.vpc)
    ec2.create_route(RouteTableId=account.tables[0], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)


def break_gateway(account):
    ec2 = boto3.client("ec2")
    ec2.modify_vpc_endpoint(VpcEndpointId=account.endpoints["s3"], RemoveRouteTableIds=[account.tables[1]])


def break_endpoint(account):
    boto3.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[account.endpoints["sts"]])


def break_private_dns(account):
    break_endpoint(account)
    world.make_interface(account, "sts", PrivateDnsEnabled=False)


def break_dns(account):
    boto3.client("ec2").modify_vpc_attribute(VpcId=account.vpc, EnableDnsHostnames={"Value": False})


def break_key(account):
    boto3.client("kms").disable_key(KeyId=account.key.rpartition("/")[2])


def doom_key(account):
    boto3.client("kms").schedule_key_deletion(KeyId=account.key.rpartition("/")[2])


def break_image(account):
    boto3.client("ecr").batch_delete_image(repositoryName="pathology-training", imageIds=[{"imageTag": world.COMMIT}])


def break_repository(account):
    boto3.client("ecr").delete_repository(repositoryName="pathology-cucim-tiler", force=True)


def break_encryption(account):
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    boto3.client("s3").put_bucket_encryption(Bucket=account.bucket, ServerSideEncryptionConfiguration={"Rules": [default]})


def break_public_access(account):
    boto3.client("s3").delete_public_access_block(Bucket=account.bucket)


def forget(key):
    return lambda account: boto3.client("s3").delete_object(Bucket=account.bucket, Key=key)


def spoil(key, content):
    return lambda account: boto3.client("s3").put_object(Bucket=account.bucket, Key=key, Body=content)


ROUNDS = [
    [
        (lambda _: boto3.client("iam").delete_role(RoleName="pathology-pipeline"), "pipeline role", "no role pathology-pipeline"),
        (break_role, "job role", "SageMaker may not assume pathology-job"),
        (break_versions, "bucket versions", "keeps no versions"),
        (break_encryption, "bucket encryption", "encrypted with AES256, not with kms_key"),
        (break_public_access, "bucket public access", "lacks BlockPublicAcls"),
        (break_key, "key", "is Disabled: enable it"),
        (break_image, "image training", "run containers/build_and_push.sh training"),
        (break_repository, "image cucim_tiler", "ECR has no repository pathology-cucim-tiler"),
        (break_mount_targets, "mount targets", "no mount target in zone us-east-1b"),
        (break_nfs, "NFS", "let the jobs' security groups not in at port 2049"),
        (break_endpoint, "endpoint sts", "there is none"),
        (break_dns, "names in the VPC", "enableDnsHostnames off"),
        (forget("models/h-optimus-0/encoder.json"), "encoder", "encoder.json is not there"),
        (forget(world.DATA[1]), "msi manifest", "gdc_manifest.txt"),
    ],
    [
        (break_way_out, "NFS", "let nothing out to port 2049"),
        (break_way_out, "endpoint s3", "let nothing out to port 443 of S3"),
        (break_private_dns, "endpoint sts", "has no private DNS"),
        (doom_key, "key", "is PendingDeletion: cancel its deletion"),
        (forget("models/h-optimus-0/checkpoint.pth"), "encoder", "checkpoint.pth is not there"),
        (forget(world.DATA[2]), "msi labels", "liu.xlsx"),
    ],
    [
        *((break_https, f"endpoint {service}", "not in at port 443") for service in world.INTERFACES),
        (break_gateway, "endpoint s3", "is not on rtb-"),
        (break_privacy, "subnets", "is public, its default route is an internet gateway"),
        (spoil("models/h-optimus-0/encoder.json", b"{"), "encoder", "write it again"),
    ],
]
"""What breaks, the check that says so, some of its words. Of one round every fault is there at once."""


@pytest.mark.parametrize(("number", "faults"), list(zip(world.OTHERS, ROUNDS, strict=True)), ids=["most", "ways", "rest"])
def test_each_planted_fault_has_a_line_of_its_own_and_nothing_else_has(doctor, other, number, faults):
    broken = other(number)
    for plant in dict.fromkeys(plant for plant, _, _ in faults):
        plant(broken)
    assert doctor() == 1
    assert sorted(check for check, _ in doctor.problems) == sorted(check for _, check, _ in faults)
    messages = dict(doctor.problems)
    assert [check for _, check, message in faults if message not in messages[check]] == []
