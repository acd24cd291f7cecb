"""An account in moto as infra/platform-stack.yml leaves it, made call by call so that a test can break one thing of it."""

import hashlib
import json
from dataclasses import dataclass, field

import boto3
import yaml

ACCOUNT, REGION = "111122223333", "us-east-1"
OTHERS = ("4" * 12, "5" * 12, "6" * 12)
"""Accounts for tests that break something: moto keeps them apart."""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
NO_TRUST = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "ec2.amazonaws.com"}}]}
COMMIT = "0123456789ab"
INTERFACES = ("sagemaker.api", "sagemaker.runtime", "sts", "logs")
CHECKPOINT = b"weights"
MANIFEST = {
    "name": "h-optimus-0",
    "architecture": "vit_giant_patch14_reg4_dinov2",
    "sha256": hashlib.sha256(CHECKPOINT).hexdigest(),
    "dimension": 1536,
    "published": True,
}
DATA = ("datasets/tcga-coad/a/a.svs", "datasets/tcga-coad/gdc_manifest.txt", "datasets/tcga-coad/liu.xlsx")


def enter_account(monkeypatch, number=ACCOUNT):
    """Credentials of an account: those of a role in it, which moto then takes for the account."""
    keys = boto3.client("sts").assume_role(RoleArn=f"arn:aws:iam::{number}:role/person", RoleSessionName="me")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def push(repository, tag=COMMIT):
    """An image in ECR; its digest. The repository is made if it is not there."""
    ecr = boto3.client("ecr")
    if repository not in {existing["repositoryName"] for existing in ecr.describe_repositories()["repositories"]}:
        ecr.create_repository(repositoryName=repository)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": "sha256:" + hashlib.sha256(tag.encode()).hexdigest(), "size": 1, "mediaType": "x"},
        "layers": [],
    }
    return ecr.put_image(repositoryName=repository, imageManifest=json.dumps(manifest), imageTag=tag)["image"]["imageId"][
        "imageDigest"
    ]


@dataclass
class Account:
    """What was made, by name; ``file`` is the environment's YAML."""

    number: str = ACCOUNT
    file: str = ""
    vpc: str = ""
    subnets: list = field(default_factory=list)
    tables: list = field(default_factory=list)
    groups: dict = field(default_factory=dict)
    endpoints: dict = field(default_factory=dict)
    file_system: str = ""
    targets: list = field(default_factory=list)
    key: str = ""
    digests: dict = field(default_factory=dict)

    @property
    def bucket(self):
        return f"pathology-dev-{self.number}"

    def write(self, path, **changes):
        """The environment's YAML, with some of its keys changed."""
        registry = f"{self.number}.dkr.ecr.{REGION}.amazonaws.com"
        content = {
            "name": "dev",
            "region": REGION,
            "account": self.number,
            "pipeline_role": f"arn:aws:iam::{self.number}:role/pathology-pipeline",
            "job_role": f"arn:aws:iam::{self.number}:role/pathology-job",
            "bucket": self.bucket,
            "file_system": self.file_system,
            "network": {"subnets": self.subnets, "security_groups": [self.groups["jobs"]]},
            "images": {
                "cucim_tiler": f"{registry}/pathology-cucim-tiler@{self.digests['cucim-tiler']}",
                "training": f"{registry}/pathology-training@{self.digests['training']}",
            },
            "kms_key": self.key,
        }
        path.write_text(yaml.safe_dump({**content, **changes}))
        self.file = str(path)


def make(path, number=ACCOUNT):
    """The whole account; the environment's file goes to ``path``."""
    account = Account(number)
    _network(account)
    _endpoints(account)
    _efs(account)
    _storage(account)
    iam = boto3.client("iam")
    for role in ("pathology-pipeline", "pathology-job"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))
    account.digests = {name: push(f"pathology-{name}") for name in ("cucim-tiler", "training")}
    account.write(path)
    return account


def _network(account):
    ec2 = boto3.client("ec2")
    account.vpc = ec2.create_vpc(CidrBlock="10.42.0.0/16")["Vpc"]["VpcId"]
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=account.vpc, **{attribute: {"Value": True}})
    for number, zone in enumerate("ab"):
        made = ec2.create_subnet(VpcId=account.vpc, CidrBlock=f"10.42.{16 * (number + 1)}.0/20", AvailabilityZone=REGION + zone)
        account.subnets.append(made["Subnet"]["SubnetId"])
        table = ec2.create_route_table(VpcId=account.vpc)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(RouteTableId=table, SubnetId=account.subnets[-1])
        account.tables.append(table)
    for name in ("jobs", "efs", "endpoints"):
        made = ec2.create_security_group(GroupName=name, Description=name, VpcId=account.vpc)
        account.groups[name] = made["GroupId"]
    for name, port in (("efs", 2049), ("endpoints", 443)):
        ec2.authorize_security_group_ingress(GroupId=account.groups[name], IpPermissions=[rule(port, account.groups["jobs"])])


def rule(port, group):
    """A rule of a security group that names another one."""
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [{"GroupId": group}]}


def _endpoints(account):
    ec2 = boto3.client("ec2")
    gateway = ec2.create_vpc_endpoint(
        VpcId=account.vpc, VpcEndpointType="Gateway", ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=account.tables
    )
    account.endpoints["s3"] = gateway["VpcEndpoint"]["VpcEndpointId"]
    for service in INTERFACES:
        make_interface(account, service)


def make_interface(account, service, **options):
    """An interface endpoint in the private subnets."""
    made = boto3.client("ec2").create_vpc_endpoint(
        **{
            "VpcId": account.vpc,
            "VpcEndpointType": "Interface",
            "ServiceName": f"com.amazonaws.{REGION}.{service}",
            "SubnetIds": account.subnets,
            "SecurityGroupIds": [account.groups["endpoints"]],
            "PrivateDnsEnabled": True,
            **options,
        }
    )
    account.endpoints[service] = made["VpcEndpoint"]["VpcEndpointId"]


def _efs(account):
    efs = boto3.client("efs")
    account.file_system = efs.create_file_system(Encrypted=True)["FileSystemId"]
    for subnet in account.subnets:
        made = efs.create_mount_target(FileSystemId=account.file_system, SubnetId=subnet, SecurityGroups=[account.groups["efs"]])
        account.targets.append(made["MountTargetId"])


def _storage(account):
    account.key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    s3, name = boto3.client("s3"), {"Bucket": account.bucket}
    s3.create_bucket(**name)
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": account.key}
    s3.put_bucket_encryption(
        **name, ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    )
    s3.put_bucket_versioning(**name, VersioningConfiguration={"Status": "Enabled"})
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(**name, PublicAccessBlockConfiguration=dict.fromkeys(blocks, True))
    s3.put_object(**name, Key="models/h-optimus-0/encoder.json", Body=json.dumps(MANIFEST).encode())
    s3.put_object(**name, Key="models/h-optimus-0/checkpoint.pth", Body=CHECKPOINT)
    for key in DATA:
        s3.put_object(**name, Key=key, Body=b"data")
