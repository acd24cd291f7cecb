"""Who deploys model versions: people with DeployerPolicy, in the private network, with the jobs' role, and nobody else.

Resources of the calls: service authorization reference, "Actions, resources, and condition keys for Amazon SageMaker".
None of it was run against AWS.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.checks.iam import Context, Statement, allowed, parse_statements, role_of
from infra.checks.network import private_subnets
from infra.checks.template import PSEUDO, Finding, Findings, Stack, as_list

_ARN = f"arn:aws:sagemaker:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"
MODEL, CONFIG, ENDPOINT = (f"{_ARN}:{kind}/pathology-msi" for kind in ("model", "endpoint-config", "endpoint"))
MAKING = {
    "sagemaker:CreateEndpointConfig": CONFIG,
    "sagemaker:CreateEndpoint": ENDPOINT,
    "sagemaker:UpdateEndpoint": ENDPOINT,
    "sagemaker:InvokeEndpoint": ENDPOINT,
    "sagemaker:DeleteEndpoint": ENDPOINT,
    "sagemaker:DeleteEndpointConfig": CONFIG,
    "sagemaker:DeleteModel": MODEL,
}
_CREATE = "sagemaker:CreateModel"


def check_deployer(stack: Stack) -> Findings:
    """DeployerPolicy makes, asks and removes endpoints of ours alone, of models in the private network; no role of the stack does."""
    policy = stack.named(stack.outputs.get("DeployerPolicyArn"), "IAM::ManagedPolicy")
    if policy is None:
        yield Finding("output DeployerPolicyArn", "names no policy of the stack: nobody could be made to deploy")
        return
    given = list(parse_statements(policy.name, policy["PolicyDocument"]))
    for action, resource in MAKING.items():
        if not _allows(given, action, resource, {}):
            yield Finding(policy.name, f"does not let a person {action}")
        if _allows(given, action, resource.replace("pathology-", "somebody-"), {}):
            yield Finding(policy.name, f"lets a person {action} of others than ours")
    yield from _check_models(stack, policy.name, given)
    job = role_of(stack, stack.outputs.get("JobRoleArn"))
    passed = [resource for one in given if one.allows and "iam:PassRole" in one.actions for resource in one.resources]
    if job is not None and passed != [f"<{job.name}.Arn>"]:
        yield Finding(policy.name, f"passes {', '.join(passed) or 'no role'}: an endpoint has {job.name}")
    for role in stack.of("IAM::Role"):
        if policy.ref in as_list(role["ManagedPolicyArns"]):
            yield Finding(role.name, "has DeployerPolicy, which is for people")
        if any(allowed(stack, role.name, action, resource) for action, resource in MAKING.items()):
            yield Finding(role.name, "may deploy or ask an endpoint: people with DeployerPolicy alone do")


def _check_models(stack: Stack, policy: str, given: list[Statement]) -> Iterator[Finding]:
    """A model is made in the private subnets, with the jobs' security group."""
    subnets = [subnet.ref for subnet in private_subnets(stack)]
    groups = [str(stack.outputs.get("JobSecurityGroupId"))]
    ours = {"sagemaker:VpcSubnets": subnets, "sagemaker:VpcSecurityGroupIds": groups}
    strange: dict[str, Context] = {
        "in no network": {},
        "without subnets": {"sagemaker:VpcSecurityGroupIds": groups},
        "without security groups": {"sagemaker:VpcSubnets": subnets},
        "in a strange subnet": {**ours, "sagemaker:VpcSubnets": [*subnets, "subnet-strange"]},
        "with a strange security group": {**ours, "sagemaker:VpcSecurityGroupIds": ["sg-strange"]},
    }
    if not _allows(given, _CREATE, MODEL, ours):
        yield Finding(policy, f"does not let a person {_CREATE} in the private subnets")
    for how, context in strange.items():
        if _allows(given, _CREATE, MODEL, context):
            yield Finding(policy, f"lets a person {_CREATE} {how}")


def _allows(given: list[Statement], action: str, resource: str, context: Context) -> bool:
    return any(one.allows and one.applies(action, resource, context) for one in given)
