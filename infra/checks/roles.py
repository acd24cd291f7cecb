"""Who may be whom, and do what: trust, PassRole, wildcards, and that no job starts outside of the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.checks.iam import Statement, allowed, parse_statements, role_of, statements
from infra.checks.network import private_subnets
from infra.checks.template import PSEUDO, Finding, Findings, Resource, Stack, as_list

SAGEMAKER = "sagemaker.amazonaws.com"
TRUSTED = {"FlowLogRole": "vpc-flow-logs.amazonaws.com", "ImageBuildRole": "codebuild.amazonaws.com"}
"""Whom a role trusts; SageMaker where it is not named."""
WITHOUT_RESOURCE = frozenset(
    {
        "cloudwatch:PutMetricData",
        *(f"ec2:Describe{what}" for what in ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")),
        "ecr:GetAuthorizationToken",
        *(
            f"sagemaker:List{what}"
            for what in ("Apps", "Domains", "Endpoints", "ModelPackageGroups", "Pipelines", "ProcessingJobs")
        ),
        *(f"sagemaker:List{what}" for what in ("Spaces", "TrainingJobs", "UserProfiles")),
    }
)
"""Calls that know no resource, so that a policy can only say ``*`` (service authorization reference)."""
_ARN = f"arn:aws:sagemaker:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"
TRAINING_JOB, PROCESSING_JOB = f"{_ARN}:training-job/pipelines-1-TrainMsi-1", f"{_ARN}:processing-job/pipelines-1-PrepareMsi-1"
_STARTS = {"sagemaker:CreateTrainingJob": TRAINING_JOB, "sagemaker:CreateProcessingJob": PROCESSING_JOB}
_STARTED_IN_VPC = {*_STARTS, "sagemaker:CreateModel"}


def check_trust(stack: Stack) -> Findings:
    """A role is assumed by the one service that needs it, and only on behalf of this account."""
    for role in stack.of("IAM::Role"):
        wanted = TRUSTED.get(role.name, SAGEMAKER)
        for item in as_list(role["AssumeRolePolicyDocument"]["Statement"]):
            if (item["Effect"], item["Principal"], item["Action"]) != ("Allow", {"Service": wanted}, "sts:AssumeRole"):
                yield Finding(role.name, f"can be assumed by {item['Principal']} ({item['Action']}); {wanted} alone is meant")
            account = item.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount")
            if account != PSEUDO["AWS::AccountId"]:
                yield Finding(role.name, "can be assumed on behalf of any account: ask for aws:SourceAccount")


def check_policies(stack: Stack) -> Findings:
    """Policies name actions and resources; those of AWS, which name neither, are not used."""
    for role in stack.of("IAM::Role"):
        for reference in as_list(role["ManagedPolicyArns"]):
            if stack.named(reference, "IAM::ManagedPolicy") is None and not str(reference).startswith("<import "):
                yield Finding(role.name, f"has {reference}, which is not a valid policy of these templates")
        for policy in as_list(role["Policies"]):
            yield from _check_document(stack, f"{role.name}/{policy['PolicyName']}", policy["PolicyDocument"])
    for policy in stack.of("IAM::ManagedPolicy"):
        yield from _check_document(stack, policy.name, policy["PolicyDocument"])


def _check_document(stack: Stack, name: str, document: dict[str, Any]) -> Iterator[Finding]:
    seen: set[str] = set()
    for one in parse_statements(name, document):
        where = f"{name}, {one.sid or 'a statement without a Sid'}"
        if not one.sid or one.sid in seen:
            yield Finding(where, "give each statement a Sid of its own")
        seen.add(one.sid)
        if not one.allows:
            continue
        for action in one.actions:
            if "*" in action or ":" not in action:
                yield Finding(where, f"allows {action}: name the actions")
            elif "*" in one.resources and action not in WITHOUT_RESOURCE:
                yield Finding(where, f"allows {action} on everything: name the resource")
        yield from _check_pass_role(stack, where, one)


def _check_pass_role(stack: Stack, where: str, one: Statement) -> Iterator[Finding]:
    if not any(action.lower() == "iam:passrole" for action in one.actions):
        return
    if one.actions != ("iam:PassRole",) or len(one.resources) != 1 or role_of(stack, one.resources[0]) is None:
        yield Finding(
            where, f"passes {', '.join(one.resources)}: iam:PassRole takes one role of the stack, in a statement of its own"
        )
    if one.conditions.get("StringEquals", {}).get("iam:PassedToService") != SAGEMAKER:
        yield Finding(where, f"passes a role to any service: ask for iam:PassedToService {SAGEMAKER}")


def check_roles_apart(stack: Stack) -> Findings:
    """Person, pipeline and job are three roles, each with what it needs and without what the others have."""
    roles = {name: role_of(stack, stack.outputs.get(f"{name}RoleArn")) for name in ("Notebook", "Pipeline", "Job")}
    for name, role in roles.items():
        if role is None:
            yield Finding(f"output {name}RoleArn", "names no role of the stack")
    notebook, pipeline, job = roles["Notebook"], roles["Pipeline"], roles["Job"]
    if notebook is None or pipeline is None or job is None:
        return
    if len({notebook.name, pipeline.name, job.name}) < 3:
        yield Finding("roles", "person, pipeline and job share a role; the outputs should name three")
    passing = {"iam:PassedToService": SAGEMAKER}
    may = [(notebook, pipeline), (pipeline, job)]
    for role in (notebook, pipeline, job):
        for other in stack.of("IAM::Role"):
            passes = allowed(stack, role.name, "iam:PassRole", f"<{other.name}.Arn>", passing)
            if passes != ((role, other) in may):
                yield Finding(role.name, f"{'may' if passes else 'may not'} pass {other.name}")
    yield from _check_starts(stack, notebook, pipeline, job)


def _check_starts(stack: Stack, notebook: Resource, pipeline: Resource, job: Resource) -> Iterator[Finding]:
    """Jobs are started by the pipeline role alone, in the private subnets and with the jobs' security group alone."""
    subnets = [subnet.ref for subnet in private_subnets(stack)]
    groups = [str(stack.outputs.get("JobSecurityGroupId"))]
    ours = {"sagemaker:VpcSubnets": subnets, "sagemaker:VpcSecurityGroupIds": groups}
    strange = {
        "in no network": {},
        "without subnets": {"sagemaker:VpcSecurityGroupIds": groups},
        "without security groups": {"sagemaker:VpcSubnets": subnets},
        "in a strange subnet": {**ours, "sagemaker:VpcSubnets": [*subnets, "subnet-strange"]},
        "with a strange security group": {**ours, "sagemaker:VpcSecurityGroupIds": ["sg-strange"]},
    }
    for action, arn in _STARTS.items():
        if not allowed(stack, pipeline.name, action, arn, ours):
            yield Finding(pipeline.name, f"may not {action} in the private subnets")
        yield from (
            Finding(pipeline.name, f"may {action} {how}")
            for how, context in strange.items()
            if allowed(stack, pipeline.name, action, arn, context)
        )
        yield from (
            Finding(role.name, f"may {action}; pipelines alone start jobs")
            for role in (notebook, job)
            if allowed(stack, role.name, action, arn, ours)
        )
    for role in (notebook, pipeline, job):
        yield from _check_denies(stack, role)


def _check_denies(stack: Stack, role: Resource) -> Iterator[Finding]:
    """Whatever is attached later, nothing starts outside of a network: a Deny says so for every action that could."""
    denials = [one for one in statements(stack, role.name) if not one.allows]
    for key in ("sagemaker:VpcSubnets", "sagemaker:VpcSecurityGroupIds"):
        present = {"sagemaker:VpcSubnets": ["a"], "sagemaker:VpcSecurityGroupIds": ["b"]}
        absent = {name: value for name, value in present.items() if name != key}
        for action in sorted(_STARTED_IN_VPC):
            if not any(one.applies(action, "any", absent) for one in denials):
                yield Finding(role.name, f"no Deny refuses {action} without {key}")
            if any(one.applies(action, "any", present) for one in denials):
                yield Finding(role.name, f"a Deny refuses {action} inside of a network too")
