"""Who is told what: executions that failed and versions that wait, by a topic that our two rules alone publish to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.checks.template import PSEUDO, Finding, Findings, Stack, as_list

_ARN = f"arn:aws:sagemaker:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"
PATTERNS: Mapping[str, Any] = {
    "FailedRule": {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Building Pipeline Execution Status Change"],
        "detail": {"currentPipelineExecutionStatus": ["Failed"], "pipelineArn": [{"prefix": f"{_ARN}:pipeline/pathology-"}]},
    },
    "WaitingRule": {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {
            "ModelApprovalStatus": ["PendingManualApproval"],
            "ModelPackageStatus": ["Completed"],
            "ModelPackageGroupName": [{"prefix": "pathology-"}],
        },
    },
}
"""What each rule waits for; tests hold them against the documented events."""
TOLD = {
    "FailedRule": ("execution", "$.detail.pipelineExecutionArn", "python -m pipelines.show <execution> --environment NAME"),
    "WaitingRule": (
        "version",
        "$.detail.ModelPackageArn",
        "python -m pipelines.version <version> --task TASK --environment NAME",
    ),
}
"""The name of what is told, where in the event it stands, and the verb to run next."""


def check_notices(stack: Stack) -> Findings:
    """With an address: both rules, each to the topic in one quoted line; the topic encrypted, and open to these rules alone."""
    topics = {topic.ref: topic for topic in stack.of("SNS::Topic")}
    email = stack.parameters.get("NotificationEmail")
    if not email:
        yield from (Finding(topic.name, "is made although nobody is to be told") for topic in topics.values())
        return
    for topic in topics.values():
        if topic["KmsMasterKeyId"] != "<Key.Arn>":
            yield Finding(topic.name, "is not encrypted with the stack's key")
        if topic["Subscription"] != [{"Protocol": "email", "Endpoint": email}]:
            yield Finding(topic.name, "does not write to NotificationEmail")
        if not _opened_to_the_rules(stack, topic.ref):
            yield Finding(topic.name, "is not open to FailedRule and WaitingRule, and to them alone")
    if not any(
        item["Principal"] == {"Service": "events.amazonaws.com"}
        and {"kms:Decrypt", "kms:GenerateDataKey"} <= set(as_list(item["Action"]))
        for key in stack.of("KMS::Key")
        for item in as_list(key["KeyPolicy"]["Statement"])
        if item["Effect"] == "Allow"
    ):
        yield Finding("Key", "does not let EventBridge publish to the encrypted topic")
    if not topics:
        yield Finding("parameter NotificationEmail", "is given and there is no topic")
    for name, pattern in PATTERNS.items():
        rule = stack.resources.get(name)
        if rule is None or rule["EventPattern"] != pattern or rule["State"] not in (None, "ENABLED"):
            yield Finding(name, "does not wait for what it is meant to")
            continue
        target = (rule["Targets"] or [{}])[0]
        key, path, verb = TOLD[name]
        told = target.get("InputTransformer", {})
        line = told.get("InputTemplate", "")
        if target.get("Arn") not in topics or told.get("InputPathsMap") != {key: path}:
            yield Finding(name, "does not tell the topic what it is about")
        if not (line.startswith('"') and line.endswith(f'{verb}"') and "\n" not in line):
            yield Finding(name, f"does not say in one quoted line to run {verb}")


def _opened_to_the_rules(stack: Stack, topic: str) -> bool:
    wanted = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic,
        "Condition": {"ArnEquals": {"aws:SourceArn": ["<FailedRule.Arn>", "<WaitingRule.Arn>"]}},
    }
    return [
        (policy["Topics"], [{**item, "Sid": ""} for item in as_list(policy["PolicyDocument"]["Statement"])])
        for policy in stack.of("SNS::TopicPolicy")
    ] == [([topic], [{**wanted, "Sid": ""}])]
