"""Who approves model versions: people with ApproverPolicy, and nothing that a pipeline runs.

Setting a status is one of the things that UpdateModelPackage does, a card and a life cycle are others. What tells them apart are
condition keys (service authorization reference, "Actions, resources, and condition keys for Amazon SageMaker":
``sagemaker:ModelApprovalStatus`` and ``sagemaker:CustomerMetadataProperties/KEY`` on CreateModelPackage and UpdateModelPackage;
SageMaker developer guide, "Set up Staging Construct Examples": ``sagemaker:ModelLifeCycle:stage`` and ``:stageStatus`` on both).
None of it was run against AWS.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.checks.iam import Context, allowed, parse_statements, role_of, statements
from infra.checks.template import PSEUDO, Finding, Findings, Resource, Stack, as_list

UPDATE, CREATE = "sagemaker:UpdateModelPackage", "sagemaker:CreateModelPackage"
STATUS, STAGE, STAGE_STATUS = (
    "sagemaker:ModelApprovalStatus",
    "sagemaker:ModelLifeCycle:stage",
    "sagemaker:ModelLifeCycle:stageStatus",
)
METADATA = "sagemaker:CustomerMetadataProperties/"
DECIDED = ("decision", "decided_by", "decided_at", "accepted_warnings")
"""Keys of a version's metadata in which pipelines.approve and reject keep who decided, when and on what: tests hold them together."""
_ARN = f"arn:aws:sagemaker:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"
VERSION, OTHER_VERSION = f"{_ARN}:model-package/pathology-x/1", f"{_ARN}:model-package/x/1"

SETTING: tuple[tuple[str, Context], ...] = (
    *((UPDATE, {STATUS: status}) for status in ("Approved", "Rejected", "PendingManualApproval")),
    *((UPDATE, {STAGE: "Production", STAGE_STATUS: status}) for status in ("Approved", "Rejected")),
    (CREATE, {STATUS: "Approved"}),
    (CREATE, {STATUS: "PendingManualApproval", STAGE: "Production", STAGE_STATUS: "Approved"}),
    *((action, {METADATA + key: "x"}) for action in (UPDATE, CREATE) for key in DECIDED),
)
"""Requests that decide about a version, or say that somebody did: what a pipeline's roles never may."""
DESCRIBING: tuple[tuple[str, Context], ...] = (
    (UPDATE, {}),
    (UPDATE, {METADATA + "evaluation_sha256": "x"}),
    (UPDATE, {STAGE: "Development", STAGE_STATUS: "PendingApproval"}),
    (CREATE, {}),
    (CREATE, {STATUS: "PendingManualApproval"}),
)
"""Requests that decide nothing: a card, other metadata, a source, a life cycle that waits, a new version that waits."""


def may_approve(stack: Stack, role: str) -> bool:
    """Whether the role may set the status of a version, or make one that has it."""
    return any(allowed(stack, role, action, VERSION, context) for action, context in SETTING)


def check_approval(stack: Stack) -> Findings:
    """ApproverPolicy approves, and does nothing else; no role of the stack does; a Deny keeps it from pipelines and jobs."""
    yield from _check_approver(stack)
    for role in stack.of("IAM::Role"):
        if may_approve(stack, role.name):
            yield Finding(role.name, "may approve model versions: people with ApproverPolicy alone do")
    pipeline, job = (role_of(stack, stack.outputs.get(f"{name}RoleArn")) for name in ("Pipeline", "Job"))
    for running in (pipeline, job):
        if running is not None:
            yield from _check_denies(stack, running)
    for action, context in DESCRIBING:
        if job is not None and action == UPDATE and not allowed(stack, job.name, action, VERSION, context):
            yield Finding(job.name, f"may not describe a version ({action}, {_words(context)})")


def _check_approver(stack: Stack) -> Iterator[Finding]:
    policy = stack.named(stack.outputs.get("ApproverPolicyArn"), "IAM::ManagedPolicy")
    if policy is None:
        yield Finding("output ApproverPolicyArn", "names no policy of the stack: nobody could be made a reviewer")
        return
    given = list(parse_statements(policy.name, policy["PolicyDocument"]))
    for context in ({STATUS: "Approved"}, {STATUS: "Rejected"}, {STAGE: "Production", STAGE_STATUS: "Approved"}, {}):
        if not any(one.allows and one.applies(UPDATE, VERSION, context) for one in given):
            yield Finding(policy.name, f"does not let a reviewer {UPDATE} ({_words(context)})")
    if any(one.allows and one.applies(UPDATE, OTHER_VERSION, {STATUS: "Approved"}) for one in given):
        yield Finding(policy.name, "approves versions of any group")
    others = sorted({action for one in given if one.allows for action in one.actions} - {UPDATE})
    if others:
        yield Finding(policy.name, f"allows {', '.join(others)}, which is no approval: put it into AuthorPolicy")
    for role in stack.of("IAM::Role"):
        if policy.ref in as_list(role["ManagedPolicyArns"]):
            yield Finding(role.name, "has ApproverPolicy, which is for people")


def _check_denies(stack: Stack, role: Resource) -> Iterator[Finding]:
    """Whatever is attached later, nothing that a pipeline runs approves."""
    denials = [one for one in statements(stack, role.name) if not one.allows]
    for action, context in SETTING:
        if not any(one.applies(action, VERSION, context) for one in denials):
            yield Finding(role.name, f"no Deny refuses {action} ({_words(context)})")
    for action, context in DESCRIBING:
        if any(one.applies(action, VERSION, context) for one in denials):
            yield Finding(role.name, f"a Deny refuses {action} ({_words(context)}), which decides nothing")


def _words(context: Context) -> str:
    return ", ".join(f"{key.partition(':')[2]} {value}" for key, value in context.items()) or "no status"
