"""What the stack says of itself: everything that environments/*.yaml want, each the right thing; and no account of anybody."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from infra.checks.iam import allowed, role_of
from infra.checks.roles import SAGEMAKER
from infra.checks.storage import REPOSITORIES
from infra.checks.template import PSEUDO, Finding, Findings, Stack, as_list, parse

_OTHERS = tuple(Path(__file__).parents[1] / f"{name}.yml" for name in ("studio-stack", "codebuild"))
_parsed = cache(parse)

MAX_BYTES = 51_200
"""Of a template that ``aws cloudformation deploy`` sends without a bucket (CloudFormation user guide, "Quotas")."""
EXAMPLE_ACCOUNTS = {"111122223333"}
_STRANGERS = (
    re.compile(r"(?<![\w-])\d{12}(?![\w-])"),
    re.compile(r"\barn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d{12}:\S+"),
    re.compile(r"\b(?:subnet|sg|vpc|fs|fsmt|eni|ami|i|vpce|pl|rtb|igw|nat)-[0-9a-f]{8,17}\b"),
    re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"),
)
_OF_THE_NETWORK = {
    "VpcId": ("EC2::VPC", ""),
    "PublicSubnetId": ("EC2::Subnet", ""),
    "PrivateSubnetAId": ("EC2::Subnet", ""),
    "PrivateSubnetBId": ("EC2::Subnet", ""),
    "EndpointSecurityGroupId": ("EC2::SecurityGroup", ""),
}
_TYPES = {
    "VpcId": ("EC2::VPC", ""),
    "EFSFileSystemId": ("EFS::FileSystem", ""),
    "SageMakerNotebookInstanceName": ("SageMaker::NotebookInstance", ".NotebookInstanceName"),
    "JobSecurityGroupId": ("EC2::SecurityGroup", ""),
    "NotebookSecurityGroupId": ("EC2::SecurityGroup", ""),
    "EfsSecurityGroupId": ("EC2::SecurityGroup", ""),
    "PipelineRoleArn": ("IAM::Role", ".Arn"),
    "JobRoleArn": ("IAM::Role", ".Arn"),
    "NotebookRoleArn": ("IAM::Role", ".Arn"),
    "AuthorPolicyArn": ("IAM::ManagedPolicy", ""),
    "ApproverPolicyArn": ("IAM::ManagedPolicy", ""),
    "DeployerPolicyArn": ("IAM::ManagedPolicy", ""),
    "InTheVpcPolicyArn": ("IAM::ManagedPolicy", ""),
    "BucketName": ("S3::Bucket", ""),
    "KmsKeyArn": ("KMS::Key", ".Arn"),
}
"""Of what type an output's resource is, and by which attribute."""
_REGISTRY = f"{PSEUDO['AWS::AccountId']}.dkr.ecr.{PSEUDO['AWS::Region']}.{PSEUDO['AWS::URLSuffix']}"
_TEXTS = {
    "Region": PSEUDO["AWS::Region"],
    "AccountId": PSEUDO["AWS::AccountId"],
    "CucimTilerRepositoryUri": f"{_REGISTRY}/{REPOSITORIES[0]}",
    "TrainingRepositoryUri": f"{_REGISTRY}/{REPOSITORIES[1]}",
}


def check_outputs(stack: Stack) -> Findings:
    """Every output of the platform is there and is of its kind."""
    for name in (*_TEXTS, "PrivateSubnetIds"):
        if name not in stack.outputs:
            yield Finding(f"output {name}", "is missing")
    yield from _check_types(stack, _TYPES)
    for name, text in _TEXTS.items():
        if stack.outputs.get(name, text) != text:
            yield Finding(f"output {name}", f"is {stack.outputs[name]}; {text} is meant")


def check_network_outputs(stack: Stack) -> Findings:
    """Every output of the network is there, is of its kind, and is what the platform has."""
    yield from _check_types(stack, _OF_THE_NETWORK)
    subnets = [str(stack.outputs.get(f"PrivateSubnet{letter}Id")) for letter in "AB"]
    if str(stack.outputs.get("PrivateSubnetIds")).split(",") != subnets:
        yield Finding(
            "output PrivateSubnetIds", f"is {stack.outputs.get('PrivateSubnetIds')}; the network has {', '.join(subnets)}"
        )


def _check_types(stack: Stack, types: dict[str, tuple[str, str]]) -> Findings:
    for name, (kind, attribute) in types.items():
        value = stack.outputs.get(name)
        resource = stack.named(value, kind)
        if name not in stack.outputs:
            yield Finding(f"output {name}", "is missing")
        elif resource is None or value != f"<{resource.name}{attribute}>":
            yield Finding(f"output {name}", f"is {value}; {kind}{attribute} is meant")


def check_meaning(stack: Stack) -> Findings:
    """Outputs of one type are not mixed up: each is what the rest of the stack uses for that."""
    used = {
        "EfsSecurityGroupId": [group for item in stack.of("EFS::MountTarget") for group in as_list(item["SecurityGroups"])],
        "EndpointSecurityGroupId": [
            group for item in stack.of("EC2::VPCEndpoint") for group in as_list(item["SecurityGroupIds"])
        ],
        "NotebookSecurityGroupId": [
            g for item in stack.of("SageMaker::NotebookInstance") for g in as_list(item["SecurityGroupIds"])
        ],
        "NotebookRoleArn": [item["RoleArn"] for item in stack.of("SageMaker::NotebookInstance")],
    }
    for name, values in used.items():
        if {stack.outputs.get(name)} - {None} != set(values):
            yield Finding(f"output {name}", f"is {stack.outputs.get(name)}; in use is {', '.join(sorted(set(values)))}")
    bucket = f"{str(stack.outputs.get('BucketName')).rstrip('>')}.Arn>/runs/x"
    job, pipeline = role_of(stack, stack.outputs.get("JobRoleArn")), role_of(stack, stack.outputs.get("PipelineRoleArn"))
    for role, action in ((job, "s3:PutObject"), (job, "s3:GetObject"), (pipeline, "s3:GetObject")):
        if role is not None and not allowed(stack, role.name, action, bucket):
            yield Finding("output BucketName", f"is a bucket on which {role.name} may not {action}")
    notebook = role_of(stack, stack.outputs.get("NotebookRoleArn"))
    attached = as_list(notebook["ManagedPolicyArns"]) if notebook is not None else []
    for name in ("AuthorPolicyArn", "InTheVpcPolicyArn"):
        if stack.outputs.get(name) not in attached:
            yield Finding(f"output {name}", "is a policy that the notebook's role does not have")
    author = stack.named(stack.outputs.get("AuthorPolicyArn"), "IAM::ManagedPolicy")
    starts = author is not None and "sagemaker:StartPipelineExecution" in str(author["PolicyDocument"])
    passed = {"iam:PassedToService": SAGEMAKER}
    if not starts or (
        notebook and pipeline and not allowed(stack, notebook.name, "iam:PassRole", f"<{pipeline.name}.Arn>", passed)
    ):
        yield Finding("output AuthorPolicyArn", "is a policy with which nobody starts a pipeline")


def check_exports(stack: Stack, exporting: Stack) -> Findings:
    """What a stack imports is what the platform's stack exports."""
    offered = {name.removeprefix(f"{PSEUDO['AWS::StackName']}-") for name in exporting.exports.values()}
    for wanted in sorted(set(re.findall(r"<import <InfraStack>-(\w+)>", _text(stack)))):
        if wanted not in offered:
            yield Finding(f"import {wanted}", "is not a valid export of platform-stack.yml")


def check_exported(stack: Stack) -> Findings:
    """The platform exports whatever the other templates import, with any of their switches."""
    for other in _OTHERS:
        template = _parsed(other)
        for name, item in {"": {}, **template["Parameters"]}.items():
            given = {name: "yes"} if "yes" in item.get("AllowedValues", ()) else {}
            yield from check_exports(Stack(template, given), stack)


def _text(stack: Stack) -> str:
    values: list[Any] = [resource.properties for resource in stack.resources.values()]
    return str(values + list(stack.outputs.values()))


def check_text(path: Path) -> Findings:
    """The file itself: short enough to deploy, and with nothing of anybody's account."""
    text = path.read_text(encoding="utf-8")
    size = len(text.encode())
    if size > MAX_BYTES:
        yield Finding(path.name, f"has {size} bytes; aws cloudformation deploy takes {MAX_BYTES}: shorten it")
    for number, line in enumerate(text.splitlines(), 1):
        for pattern in _STRANGERS:
            for match in pattern.finditer(line):
                if not any(account in match[0] for account in EXAMPLE_ACCOUNTS):
                    yield Finding(f"{path.name}, line {number}", f"names {match[0]}, something of an account")
