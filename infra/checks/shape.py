"""What the other checks read without asking: a template that lacks it is named so, and not looked at further."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.checks.template import Finding, Findings, Stack, as_list

_REQUIRED = {
    "EC2::VPC": ("CidrBlock",),
    "EC2::Subnet": ("VpcId", "CidrBlock", "AvailabilityZone"),
    "EC2::RouteTable": ("VpcId",),
    "EC2::Route": ("RouteTableId",),
    "EC2::SecurityGroup": ("VpcId", "GroupDescription"),
    "EC2::SecurityGroupIngress": ("GroupId", "IpProtocol"),
    "EC2::SecurityGroupEgress": ("GroupId", "IpProtocol"),
    "EC2::VPCEndpoint": ("VpcId", "ServiceName", "VpcEndpointType"),
    "EFS::MountTarget": ("FileSystemId", "SubnetId"),
    "S3::BucketPolicy": ("Bucket", "PolicyDocument"),
    "SNS::TopicPolicy": ("PolicyDocument",),
    "KMS::Key": ("KeyPolicy",),
    "IAM::Role": ("AssumeRolePolicyDocument",),
    "IAM::ManagedPolicy": ("PolicyDocument",),
    "SageMaker::NotebookInstance": ("RoleArn", "InstanceType"),
}
_DOCUMENTS = {
    "PolicyDocument": ("Effect", "Action", "Resource"),
    "FileSystemPolicy": ("Effect", "Principal", "Action", "Resource"),
    "KeyPolicy": ("Effect", "Principal", "Action", "Resource"),
    "AssumeRolePolicyDocument": ("Effect", "Principal", "Action"),
}
_TAKES_PRINCIPALS = {"S3::BucketPolicy", "SNS::TopicPolicy", "EC2::VPCEndpoint"}


def check_shape(stack: Stack) -> Findings:
    """Required properties, whole statements, valued outputs."""
    for resource in stack.resources.values():
        kind = resource.type.removeprefix("AWS::")
        for key in _REQUIRED.get(kind, ()):
            if not resource[key]:
                yield Finding(resource.name, f"has no {key}")
        for key, wanted in _DOCUMENTS.items():
            principals = ("Principal",) if key == "PolicyDocument" and kind in _TAKES_PRINCIPALS else ()
            if resource[key] is not None:
                yield from _check_document(resource.name, resource[key], (*wanted, *principals))
        for number, policy in enumerate(as_list(resource["Policies"])):
            where = f"{resource.name}/{policy.get('PolicyName', number)}"
            if "PolicyName" not in policy:
                yield Finding(where, "has no PolicyName")
            yield from _check_document(where, policy.get("PolicyDocument", {}), _DOCUMENTS["PolicyDocument"])
    yield from (Finding(f"output {name}", "has no value") for name, value in stack.outputs.items() if value is None)
    yield from (Finding("exports", f"{name} has no name") for name, value in stack.exports.items() if value is None)


def _check_document(where: str, document: dict[str, Any], wanted: tuple[str, ...]) -> Iterator[Finding]:
    statements = as_list(document.get("Statement"))
    if not statements:
        yield Finding(where, "has a policy without statements")
    if document.get("Version") != "2012-10-17":
        yield Finding(where, "has a policy of an old language: Version 2012-10-17 is meant")
    for number, item in enumerate(statements):
        missing = [key for key in wanted if not item.get(key)]
        if missing:
            yield Finding(where, f"its statement {item.get('Sid', number)} has no {', '.join(missing)}")
