"""Notices: the rules against the events as the SageMaker developer guide documents them, by moto's matcher, and what goes wrong."""

import copy
import json

import pytest
from deploying import ACCOUNT, REGION

from infra.checks.notices import PATTERNS
from infra.checks.suite import findings_alone

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
FAILED = {
    "id": "315c1398",
    "detail-type": "SageMaker Model Building Pipeline Execution Status Change",
    "source": "aws.sagemaker",
    "account": ACCOUNT,
    "time": "2021-03-15T16:10:11Z",
    "region": REGION,
    "resources": [f"{ARN}:pipeline/pathology-msi", f"{ARN}:pipeline/pathology-msi/execution/p4jn9xou8a8s"],
    "detail": {
        "currentPipelineExecutionStatus": "Failed",
        "previousPipelineExecutionStatus": "Executing",
        "pipelineArn": f"{ARN}:pipeline/pathology-msi",
        "pipelineExecutionArn": f"{ARN}:pipeline/pathology-msi/execution/p4jn9xou8a8s",
    },
}
WAITING = {
    **FAILED,
    "detail-type": "SageMaker Model Package State Change",
    "resources": [f"{ARN}:model-package/pathology-msi/2"],
    "detail": {
        "ModelPackageGroupName": "pathology-msi",
        "ModelPackageVersion": 2,
        "ModelPackageArn": f"{ARN}:model-package/pathology-msi/2",
        "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "PendingManualApproval",
    },
}


def with_detail(event, **changes):
    return {**event, "detail": {**event["detail"], **changes}}


@pytest.mark.parametrize(
    ("rule", "event", "matches"),
    [
        ("FailedRule", FAILED, True),
        ("FailedRule", with_detail(FAILED, currentPipelineExecutionStatus="Succeeded"), False),
        ("FailedRule", with_detail(FAILED, currentPipelineExecutionStatus="Executing"), False),
        ("FailedRule", with_detail(FAILED, pipelineArn=f"{ARN}:pipeline/others"), False),
        ("FailedRule", WAITING, False),
        ("WaitingRule", WAITING, True),
        ("WaitingRule", with_detail(WAITING, ModelApprovalStatus="Approved"), False),
        ("WaitingRule", with_detail(WAITING, ModelPackageStatus="InProgress"), False),
        ("WaitingRule", with_detail(WAITING, ModelPackageGroupName="others"), False),
        ("WaitingRule", FAILED, False),
    ],
)
def test_a_rule_hears_its_events_and_no_others(rule, event, matches):
    from moto.events.models import EventPattern

    pattern = EventPattern.load(json.dumps(PATTERNS[rule]).replace(_OURS, ARN))
    assert pattern.matches_event(event) is matches


_OURS = PATTERNS["FailedRule"]["detail"]["pipelineArn"][0]["prefix"].removesuffix(":pipeline/pathology-")


def _properties(template, name):
    return template["Resources"][name]["Properties"]


def _transformer(template, name):
    return _properties(template, name)["Targets"][0]["InputTransformer"]


FAULTS = [
    (lambda t: _properties(t, "NoticeTopic").pop("KmsMasterKeyId"), "NoticeTopic: is not encrypted"),
    (lambda t: _properties(t, "NoticeTopic").update(KmsMasterKeyId="alias/aws/sns"), "NoticeTopic: is not encrypted"),
    (lambda t: _properties(t, "NoticeTopic").pop("Subscription"), "NoticeTopic: does not write to"),
    (lambda t: t["Resources"]["NoticeTopic"].pop("Condition"), "NoticeTopic: is made although"),
    (lambda t: t["Resources"].pop("NoticeTopicPolicy"), "NoticeTopic: is not open to"),
    (lambda t: _publish(t).pop("Condition"), "NoticeTopic: is not open to"),
    (lambda t: _publish(t).update(Principal="*"), "NoticeTopic: is not open to"),
    (lambda t: _publish(t).update(Action="sns:*"), "NoticeTopic: is not open to"),
    (lambda t: _properties(t, "FailedRule")["EventPattern"].pop("detail"), "FailedRule: does not wait for"),
    (lambda t: _properties(t, "FailedRule").update(State="DISABLED"), "FailedRule: does not wait for"),
    (
        lambda t: _properties(t, "WaitingRule")["EventPattern"]["detail"].update(ModelApprovalStatus=["Approved"]),
        "WaitingRule: does",
    ),
    (lambda t: _properties(t, "WaitingRule")["Targets"].pop(), "WaitingRule: does not tell the topic"),
    (
        lambda t: _transformer(t, "FailedRule").update(InputPathsMap={"execution": "$.detail.pipelineArn"}),
        "FailedRule: does not tell",
    ),
    (
        lambda t: _transformer(t, "FailedRule").update(InputTemplate="Failed: <execution>"),
        "FailedRule: does not say in one quoted",
    ),
    (lambda t: _properties(t, "Key")["KeyPolicy"]["Statement"].pop(), "Key: does not let EventBridge"),
    (lambda t: _noticing(t).pop("Condition"), "Key: lets events.amazonaws.com use it"),
]


def _publish(template):
    return _properties(template, "NoticeTopicPolicy")["PolicyDocument"]["Statement"][0]


def _noticing(template):
    return _properties(template, "Key")["KeyPolicy"]["Statement"][-1]["Fn::If"][1]


@pytest.mark.parametrize(("plant", "message"), FAULTS, ids=[f"{number} {message}" for number, (_, message) in enumerate(FAULTS)])
def test_a_fault_of_notices_is_caught(platform, plant, message):
    changed = copy.deepcopy(platform)
    plant(changed)
    assert any(str(finding).startswith(message) for finding in findings_alone(changed))
