"""Who asks, who the pipelines and jobs are, and what those may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from pipelines.service.errors import explain
from pipelines.service.health.lines import Line, Lines, ok, problem, unknown, verdict
from pipelines.service.health.subject import Subject, code_of
from steps.environment import Environment

SAGEMAKER = "sagemaker.amazonaws.com"
_NO_SIMULATION = "what it may do was not checked"


def credentials(subject: Subject) -> Line:
    """Whether the credentials are of the environment's account: in another one all that follows would be about other things."""
    env = subject.environment
    answer = subject.clients["sts"].get_caller_identity()
    if answer["Account"] != env.account:
        return problem(
            "credentials",
            f"they are of account {answer['Account']} and {env.name} is in {env.account}: set AWS_PROFILE, or correct account",
        )
    return ok("credentials", answer["Arn"])


def roles(subject: Subject) -> Lines:
    """The two roles exist in the account, and SageMaker may assume them."""
    env = subject.environment
    for check, arn in (("pipeline role", env.pipeline_role), ("job role", env.job_role)):
        try:
            yield from _role(subject, check, arn)
        except ClientError as error:
            yield unknown(check, explain(error))


def _role(subject: Subject, check: str, arn: str) -> Lines:
    env, name = subject.environment, arn.rpartition("/")[2]
    if arn.split(":")[4] != env.account:
        yield problem(check, f"{arn} is of another account than {env.account}: correct the environment's file")
        return
    try:
        role = subject.clients["iam"].get_role(RoleName=name)["Role"]
    except ClientError as error:
        if code_of(error) != "NoSuchEntity":
            raise
        yield problem(check, f"there is no role {name}: deploy the stack, or correct the environment's file")
        return
    wrong = []
    if role["Arn"] != arn:
        wrong.append(f"the role {name} is {role['Arn']}, not {arn}: correct the environment's file")
    elif not trusts(role["AssumeRolePolicyDocument"], env):
        wrong.append(f"SageMaker may not assume {name}: let {SAGEMAKER} call sts:AssumeRole in its trust policy")
    yield from verdict(check, wrong, f"{name}, assumed by SageMaker")


def trusts(document: Mapping[str, Any], env: Environment) -> bool:
    """Whether a trust policy lets SageMaker assume the role on behalf of the environment's account."""
    return any(_lets_sagemaker(statement, env.account) for statement in _list(document.get("Statement")))


def _lets_sagemaker(statement: Mapping[str, Any], account: str) -> bool:
    principal = statement.get("Principal")
    services = _list(principal.get("Service")) if isinstance(principal, dict) else []
    accounts = _list(statement.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount", account))
    lets = statement.get("Effect") == "Allow" and bool({"sts:AssumeRole", "sts:*", "*"} & set(_list(statement.get("Action"))))
    return lets and SAGEMAKER in services and account in accounts


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class _Wanted:
    """Actions on a resource, and what a request for them says besides."""

    actions: Sequence[str]
    resource: str
    context: Mapping[str, Sequence[str]] = field(default_factory=dict)


def _wanted(env: Environment, groups: Sequence[str]) -> dict[str, tuple[str, list[_Wanted]]]:
    partition = env.job_role.split(":")[1]
    job = f"arn:{partition}:sagemaker:{env.region}:{env.account}"
    network = {"sagemaker:VpcSubnets": env.network.subnets, "sagemaker:VpcSecurityGroupIds": env.network.security_groups}
    bucket = f"arn:{partition}:s3:::{env.bucket}"
    key = env.kms_key or ""
    keys = [_Wanted(("kms:Decrypt", "kms:GenerateDataKey"), key)] if key.startswith("arn:") else []
    return {
        "pipeline role": (
            env.pipeline_role,
            [
                _Wanted(("sagemaker:CreateTrainingJob",), f"{job}:training-job/pipelines-x", network),
                _Wanted(("sagemaker:CreateProcessingJob",), f"{job}:processing-job/pipelines-x", network),
                _Wanted(("iam:PassRole",), env.job_role, {"iam:PassedToService": (SAGEMAKER,)}),
            ],
        ),
        "job role": (
            env.job_role,
            [
                _Wanted(("s3:GetObject", "s3:PutObject"), f"{bucket}/runs/x"),
                _Wanted(("s3:ListBucket",), bucket),
                *(_Wanted(("sagemaker:ListModelPackages",), f"{job}:model-package-group/{group}") for group in groups),
                *(_Wanted(("sagemaker:DescribeModelPackage",), f"{job}:model-package/{group}/1") for group in groups),
                *keys,
            ],
        ),
    }


def permissions(subject: Subject) -> Lines:
    """What the roles may do, as IAM's simulation decides it; boundaries and the organisation's policies included."""
    groups = sorted({task.register_as.group for task in subject.tasks.values()})
    for role, (arn, wanted) in _wanted(subject.environment, groups).items():
        check = f"{role}'s policies"
        try:
            denied = [refusal for one in wanted for refusal in _denied(subject, arn, one)]
        except ClientError as error:
            if code_of(error) != "NoSuchEntity":  # a role that is not there has a line already
                yield unknown(check, f"{_NO_SIMULATION}: {explain(error)}")
            continue
        actions = ", ".join(action for one in wanted for action in one.actions)
        yield from verdict(check, denied, f"allow {actions}")


def _denied(subject: Subject, arn: str, wanted: _Wanted) -> list[str]:
    entries = [
        {
            "ContextKeyName": key,
            "ContextKeyValues": list(values),
            "ContextKeyType": "string" if key.startswith("iam:") else "stringList",
        }
        for key, values in wanted.context.items()
    ]
    answer = subject.clients["iam"].simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=list(wanted.actions), ResourceArns=[wanted.resource], ContextEntries=entries
    )
    return [
        f"{result['EvalActionName']} on {wanted.resource} is refused ({result['EvalDecision']}): allow it in the role's policy"
        for result in answer["EvaluationResults"]
        if result["EvalDecision"] != "allowed"
    ]
