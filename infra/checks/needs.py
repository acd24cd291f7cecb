"""What SageMaker itself does in a role's name, written down, since no call of ours shows it. None of it was run against AWS.

Sources: SageMaker developer guide, "SageMaker AI roles" (what an execution role needs for CreateTrainingJob, CreateProcessingJob
and CreateNotebookInstance), "Give training jobs access to resources in your VPC", "IAM access management" of pipelines.
The statements for it have a Sid that starts with Service; those for our own calls have not, and are derived from these by a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from infra.checks.iam import allowed, role_of, statements
from infra.checks.template import PSEUDO, Finding, Findings, Stack

SERVICE = "Service"
_HERE = f"{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"


@dataclass(frozen=True)
class Need:
    """Actions on resources, and what for; ``context`` as in :func:`infra.checks.iam.allowed`."""

    why: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: dict[str, Any] = field(default_factory=dict)


def _actions(service: str, names: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in names.split())


def _network(group: str) -> tuple[Need, ...]:
    interface = f"arn:aws:ec2:{_HERE}:network-interface/eni-x"
    subnets = (f"subnet/<PrivateSubnet{letter}>" for letter in "AB")
    made = tuple(f"arn:aws:ec2:{_HERE}:{resource}" for resource in (*subnets, f"security-group/<{group}>"))
    describes = _actions(
        "ec2", "DescribeDhcpOptions DescribeNetworkInterfaces DescribeSecurityGroups DescribeSubnets DescribeVpcs"
    )
    return (
        Need("a network interface in the VPC", ("ec2:CreateNetworkInterface",), (*made, interface)),
        Need(
            "lending it to the host, removing it",
            _actions("ec2", "CreateNetworkInterfacePermission DeleteNetworkInterface DeleteNetworkInterfacePermission"),
            (interface,),
        ),
        Need("finding its place", describes, ("*",)),
    )


def _logs(*groups: str) -> Need:
    where = tuple(f"arn:aws:logs:{_HERE}:log-group:/aws/sagemaker/{group}:log-stream:x" for group in groups)
    return Need("logs", _actions("logs", "CreateLogGroup CreateLogStream DescribeLogStreams PutLogEvents"), where)


_JOBS = ("ProcessingJobs", "TrainingJobs")
_VOLUMES = Need("encrypted volumes", _actions("kms", "CreateGrant DescribeKey"), ("<Key.Arn>",))
_IMAGES = tuple(f"arn:aws:ecr:{_HERE}:repository/pathology-{name}" for name in ("cucim-tiler", "training"))
_EFS = "ClientMount ClientRootAccess ClientWrite DescribeFileSystems DescribeMountTargets"

NEEDS: dict[str, tuple[Need, ...]] = {
    "NotebookRoleArn": (*_network("NotebookSecurityGroup"), _VOLUMES, _logs("NotebookInstances")),
    "PipelineRoleArn": (
        Need("property files; what a model version names", ("s3:GetObject",), ("<Bucket.Arn>/runs/x", "<Bucket.Arn>/models/x")),
        Need("finding those", ("s3:ListBucket",), ("<Bucket.Arn>",)),
        Need("reading them; encrypted volumes", _actions("kms", "CreateGrant Decrypt DescribeKey"), ("<Key.Arn>",)),
        Need("the image of a model version", _actions("ecr", "BatchGetImage DescribeImages"), _IMAGES[1:]),
    ),
    "JobRoleArn": (
        *_network("JobSecurityGroup"),
        _VOLUMES,
        _logs(*_JOBS, "Endpoints/pathology-mhist-1"),  # the same role serves a model
        *(
            Need("metrics", ("cloudwatch:PutMetricData",), ("*",), {"cloudwatch:namespace": f"/aws/sagemaker/{kind}"})
            for kind in (*_JOBS, "Endpoints")
        ),
        Need(  # SageMaker developer guide, "Auto-Rollback Configuration and Monitoring"
            "an endpoint's alarms", ("cloudwatch:DescribeAlarms",), (f"arn:aws:cloudwatch:{_HERE}:alarm:pathology-msi-errors",)
        ),
        Need("pulling images", _actions("ecr", "BatchCheckLayerAvailability BatchGetImage GetDownloadUrlForLayer"), _IMAGES),
        Need("pulling images", ("ecr:GetAuthorizationToken",), ("*",)),
        Need(
            "mounting EFS", _actions("elasticfilesystem", _EFS), (f"arn:aws:elasticfilesystem:{_HERE}:file-system/<FileSystem>",)
        ),
    ),
}
"""By the output that names the role."""


def check_needs(stack: Stack) -> Findings:
    """Each need is allowed, and no statement whose Sid starts with Service allows anything else."""
    for output, needs in NEEDS.items():
        role = role_of(stack, stack.outputs.get(output))
        if role is None:
            continue
        for need in needs:
            for action in need.actions:
                for resource in need.resources:
                    if not allowed(stack, role.name, action, resource, need.context):
                        yield Finding(role.name, f"may not {action} on {resource} ({need.why})")
        yield from _check_superfluous(stack, role.name, needs)


def _check_superfluous(stack: Stack, role: str, needs: tuple[Need, ...]) -> Iterator[Finding]:
    wanted = {(action, resource) for need in needs for action in need.actions for resource in need.resources}
    for one in statements(stack, role):
        for action in one.actions if one.sid.startswith(SERVICE) else ():
            if not any(one.covers(action, resource) for known, resource in wanted if known == action):
                yield Finding(f"{one.policy}, {one.sid}", f"allows {action}, which is not among the written needs")
        unconditional = [need for need in needs if need.context and not need.context.keys() & _keys(one.conditions)]
        for need in unconditional:
            if any(one.covers(action, resource) for action in need.actions for resource in need.resources):
                yield Finding(f"{one.policy}, {one.sid}", f"allows {', '.join(need.actions)} for any {', '.join(need.context)}")


def _keys(conditions: Any) -> set[str]:
    return {key for keys in conditions.values() for key in keys}
