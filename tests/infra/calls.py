"""What IAM decides about a call of AWS, and what a role's policies have too little or too much for some calls."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from infra.checks.iam import allowed, statements
from infra.checks.needs import SERVICE
from infra.checks.template import Stack
from tests.infra.deploying import ACCOUNT as MOTO_ACCOUNT

ARN = "arn:aws:sagemaker:us-east-1:111122223333"
PASSED = {"iam:PassedToService": "sagemaker.amazonaws.com"}
S3 = {
    "GetObject": ("s3:GetObject", "kms:Decrypt"),
    "HeadObject": ("s3:GetObject",),
    "ListObjectsV2": ("s3:ListBucket",),
    "PutObject": ("s3:PutObject", "kms:GenerateDataKey"),
    "CreateMultipartUpload": ("s3:PutObject", "kms:GenerateDataKey", "kms:Decrypt"),
    "UploadPart": ("s3:PutObject", "kms:GenerateDataKey", "kms:Decrypt"),
    "CompleteMultipartUpload": ("s3:PutObject", "kms:Decrypt"),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "DeleteObject": ("s3:DeleteObject",),
    "DeleteObjects": ("s3:DeleteObject",),
}
"""What IAM calls an operation on the bucket (S3 user guide, "Required permissions for Amazon S3 API operations"), and what it takes
of the key that encrypts the bucket (the same guide, "Using server-side encryption with AWS KMS keys", multipart uploads too)."""


@dataclass(frozen=True)
class Call:
    """One thing that a role does; ``context`` as in infra.checks.iam."""

    action: str
    resource: str
    context: dict = field(default_factory=dict, hash=False, compare=False)

    def __str__(self):
        return f"{self.action} on {self.resource}"


def of_s3(env, operation, given):
    assert given["Bucket"] == env.bucket
    bucket = f"arn:aws:s3:::{env.bucket}"
    keys = [one["Key"] for one in given["Delete"]["Objects"]] if operation == "DeleteObjects" else [given.get("Key")]
    for action in S3[operation]:
        for key in keys:
            on = env.kms_key if action.startswith("kms:") else bucket if action == "s3:ListBucket" else f"{bucket}/{key}"
            yield Call(action, on)


def of_logs(operation, given):
    """CloudWatch Logs' resources: a group's streams, or one of them."""
    stream = f":log-stream:{given['logStreamName']}" if "logStreamName" in given else ":log-stream:"
    yield Call(f"logs:{operation}", f"arn:aws:logs:us-east-1:111122223333:log-group:{given['logGroupName']}{stream}")


NAMED = {
    "PipelineExecutionArn": "",
    "ModelPackageName": "",
    "ModelPackageArn": "",
    "ResourceArn": "",
    "PipelineName": "pipeline/",
    "ModelPackageGroupName": "model-package-group/",
    "ProcessingJobName": "processing-job/",
    "TrainingJobName": "training-job/",
    "ModelName": "model/",
    "EndpointName": "endpoint/",
    "EndpointConfigName": "endpoint-config/",
}
"""The argument of a SageMaker call that names its resource, and what goes before it where it is no ARN; the first one counts."""


WITHOUT_RESOURCE = {"ListEndpoints"}


def of_sagemaker(operation, given):
    if operation in WITHOUT_RESOURCE:
        yield Call(f"sagemaker:{operation}", "*")
        return
    name = next(name for name in NAMED if name in given)
    on = given[name] if given[name].startswith("arn:") else f"{ARN}:{NAMED[name]}{given[name]}"
    on = on.replace(MOTO_ACCOUNT, "111122223333")  # moto answers with an account of its own
    network = given.get("VpcConfig") or given.get("NetworkConfig", {}).get("VpcConfig") or {}
    stage = given.get("ModelLifeCycle", {})
    context = {
        "sagemaker:VpcSubnets": network.get("Subnets"),
        "sagemaker:VpcSecurityGroupIds": network.get("SecurityGroupIds"),
        "sagemaker:ModelApprovalStatus": given.get("ModelApprovalStatus"),
        "sagemaker:ModelLifeCycle:stage": stage.get("Stage"),
        "sagemaker:ModelLifeCycle:stageStatus": stage.get("StageStatus"),
    }
    if operation == "ListModelPackages":  # the reference names versions; the call names their group
        yield Call(f"sagemaker:{operation}", on.replace(":model-package-group/", ":model-package/") + "/1")
    yield Call(f"sagemaker:{operation}", on, {key: value for key, value in context.items() if value})
    if given.get("Tags"):
        yield Call("sagemaker:AddTags", on)
    for member in ("RoleArn", "ExecutionRoleArn"):
        if member in given:
            yield Call("iam:PassRole", given[member], PASSED)


def of_alarms(operation, given):
    """CloudWatch's alarms."""
    for name in given.get("AlarmNames") or [given["AlarmName"]]:
        yield Call(f"cloudwatch:{operation}", f"arn:aws:cloudwatch:us-east-1:111122223333:alarm:{name}")


def needed(env, service, operation, given):
    """What IAM decides about one call."""
    match service:
        case "s3":
            return of_s3(env, operation, given)
        case "logs":
            return of_logs(operation, given)
        case "sagemaker" | "sagemaker-runtime":
            return of_sagemaker(operation, given)
        case "cloudwatch":
            return of_alarms(operation, given)
        case "application-autoscaling":  # a target's id is the service's own
            return [Call(f"{service}:{operation}", "arn:aws:application-autoscaling:us-east-1:111122223333:scalable-target/x")]
        case "sts":
            assert operation == "GetCallerIdentity"
            return ()  # asks for no permission (AWS STS API reference)
    raise AssertionError(f"nobody has said what {service}:{operation} needs")


def refused(stack: Stack, role: str, calls: Iterable[Call]) -> list[str]:
    return sorted({str(call) for call in calls if not allowed(stack, role, call.action, call.resource, call.context)})


def surplus(stack: Stack, role: str, calls: Iterable[Call]) -> list[str]:
    """Actions and resources of statements that no call needs, the statements for the service itself aside.

    A statement may name kinds of resources that an action does not know, such as a training job beside CreateProcessingJob: IAM
    never asks for the two together.
    """
    result = []
    for one in statements(stack, role):
        if not one.allows or one.sid.startswith(SERVICE):
            continue
        used = {(a, r) for a in one.actions for r in one.resources for c in calls if c.action == a and _like(c.resource, r)}
        result += [f"{one.policy}, {one.sid}: {a}" for a in one.actions if a not in {action for action, _ in used}]
        result += [f"{one.policy}, {one.sid}: {r}" for r in one.resources if r not in {resource for _, resource in used}]
    return result


def _like(text, pattern):
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None
