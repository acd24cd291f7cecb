"""Decisions as IAM makes them; expected answers are those of the IAM user guide."""

import pytest
from pathology.contracts.errors import RequestError

from infra.checks.iam import allowed, pairs, parse_statements, statements
from infra.checks.roles import PROCESSING_JOB, TRAINING_JOB
from infra.checks.template import Stack

BUCKET, KEY = "arn:aws:s3:::slides", "arn:aws:kms:us-east-1:111122223333:key/x"
SUBNETS, GROUPS = ["<PrivateSubnetA>", "<PrivateSubnetB>"], ["<JobSecurityGroup>"]
IN_THE_VPC = {"sagemaker:VpcSubnets": SUBNETS, "sagemaker:VpcSecurityGroupIds": GROUPS}


def role(*items, managed=()):
    policies = [{"PolicyName": "p", "PolicyDocument": {"Statement": list(items)}}]
    resources = {
        "R": {"Type": "AWS::IAM::Role", "Properties": {"Policies": policies, "ManagedPolicyArns": [{"Ref": "M"}]}},
        "M": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Statement": list(managed)}}},
    }
    return Stack({"Resources": resources})


def says(effect="Allow", action="s3:GetObject", resource="*", **condition):
    return {"Effect": effect, "Action": action, "Resource": resource, **({"Condition": condition} if condition else {})}


def may(stack, context=None, action="s3:GetObject", resource=f"{BUCKET}/a/b"):
    return allowed(stack, "R", action, resource, context)


@pytest.mark.parametrize(
    ("items", "answer"),
    [
        ([], False),
        ([says()], True),
        ([says(action="S3:getobject")], True),
        ([says(action="s3:Get*")], True),
        ([says(action="s3:GetObjec?")], True),
        ([says(action="s3:GetObject?")], False),
        ([says(action=["s3:PutObject", "s3:GetObject"])], True),
        ([says(action="s3:PutObject")], False),
        ([says(resource=f"{BUCKET}/*")], True),
        ([says(resource=f"{BUCKET}/a/?")], True),
        ([says(resource=BUCKET)], False),
        ([says(resource=f"{BUCKET.upper()}/*")], False),
        ([says(resource="arn.aws:s3:::slides/*")], False),
        ([says(), says("Deny")], False),
        ([says("Deny"), says()], False),
        ([says(), says("Deny", action="s3:PutObject")], True),
        ([says("Deny", action="s3:PutObject")], False),
    ],
)
def test_actions_resources_and_denials(items, answer):
    assert may(role(*items)) is answer


@pytest.mark.parametrize(
    ("condition", "context", "answer"),
    [
        ({"StringEquals": {"k": "a"}}, {"k": "a"}, True),
        ({"StringEquals": {"K": "a"}}, {"k": "a"}, True),
        ({"StringEquals": {"k": "a"}}, {"k": "A"}, False),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringEquals": {"k": "a*"}}, {"k": "ab"}, False),
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, True),
        ({"StringEquals": {"k": "a", "l": "b"}}, {"k": "a"}, False),
        ({"StringEqualsIgnoreCase": {"k": "a"}}, {"k": "A"}, True),
        ({"StringEqualsIfExists": {"k": "a"}}, {}, True),
        ({"StringEqualsIfExists": {"k": "a"}}, {"k": "b"}, False),
        ({"StringNotEquals": {"k": "a"}}, {"k": "b"}, True),
        ({"StringNotEquals": {"k": ["a", "b"]}}, {"k": "b"}, False),
        ({"StringNotEquals": {"k": "a"}}, {}, True),
        ({"StringLike": {"k": "a*"}}, {"k": "ab"}, True),
        ({"StringNotLike": {"k": "a*"}}, {"k": "ab"}, False),
        ({"ArnLike": {"k": "arn:aws:s3:::sl*"}}, {"k": BUCKET}, True),
        ({"ArnLike": {"k": "arn:aws:kms:*:key/x"}}, {"k": KEY}, False),
        ({"ArnLike": {"k": "arn:aws:kms:*:*:key/x"}}, {"k": KEY}, True),
        ({"ArnEquals": {"k": KEY}}, {"k": KEY}, True),
        ({"ArnNotLike": {"k": "arn:aws:kms:*:*:*"}}, {"k": KEY}, False),
        ({"Bool": {"k": False}}, {"k": "false"}, True),
        ({"Bool": {"k": "true"}}, {"k": False}, False),
        ({"Bool": {"k": "true"}}, {}, False),
        ({"Null": {"k": "true"}}, {}, True),
        ({"Null": {"k": "true"}}, {"k": "a"}, False),
        ({"Null": {"k": False}}, {"k": "a"}, True),
        ({"Null": {"k": "false"}}, {}, False),
        ({"Null": {"k": "true"}}, {"k": []}, True),
        ({"ForAllValues:StringEquals": {"k": ["a", "b"]}}, {"k": ["a", "b"]}, True),
        ({"ForAllValues:StringEquals": {"k": ["a", "b"]}}, {"k": ["a", "c"]}, False),
        ({"ForAllValues:StringEquals": {"k": ["a"]}}, {}, True),
        ({"ForAnyValue:StringEquals": {"k": ["a"]}}, {"k": ["a", "c"]}, True),
        ({"ForAnyValue:StringEquals": {"k": ["a"]}}, {"k": ["c"]}, False),
        ({"ForAnyValue:StringEquals": {"k": ["a"]}}, {}, False),
        ({"ForAnyValue:StringNotEquals": {"k": ["a"]}}, {"k": ["a", "c"]}, True),
        ({"StringEquals": {"k": "a"}, "Null": {"l": "true"}}, {"k": "a", "l": "x"}, False),
    ],
)
def test_conditions(condition, context, answer):
    assert may(role(says(**condition)), context) is answer
    # a Deny with the same condition refuses what the Allow would have let
    assert may(role(says(), says("Deny", **condition)), context) is not answer


def test_managed_policies_count():
    assert may(role(managed=[says()]))
    assert not may(role(says(), managed=[says("Deny")]))


@pytest.mark.parametrize("operator", ["DateLessThan", "ForNoValue:StringEquals", "NumericEquals"])
def test_an_operator_that_is_not_known_is_refused(operator):
    with pytest.raises(RequestError, match=f"{operator} is not among those"):
        may(role(says(**{operator: {"k": "1"}})), {"k": "1"})


@pytest.mark.parametrize("key", ["NotAction", "NotResource"])
def test_not_this_and_not_that_are_refused(key):
    with pytest.raises(RequestError, match="name what is meant"):
        list(parse_statements("p", {"Statement": {**says(), key: "x"}}))


def test_a_role_that_is_not_there_is_named(stack):
    with pytest.raises(RequestError, match=r"^Somebody: the template has no such role; it has FlowLogRole, "):
        statements(stack, "Somebody")
    with pytest.raises(RequestError, match="Key"):
        allowed(stack, "Key", "s3:GetObject", "*")


# ---- the stack's own roles ----
@pytest.mark.parametrize(
    ("action", "job"), [("sagemaker:CreateTrainingJob", TRAINING_JOB), ("sagemaker:CreateProcessingJob", PROCESSING_JOB)]
)
@pytest.mark.parametrize(
    ("context", "answer"),
    [
        (IN_THE_VPC, True),
        ({**IN_THE_VPC, "sagemaker:VpcSubnets": SUBNETS[:1]}, True),
        ({}, False),
        ({"sagemaker:VpcSubnets": SUBNETS}, False),
        ({"sagemaker:VpcSecurityGroupIds": GROUPS}, False),
        ({**IN_THE_VPC, "sagemaker:VpcSubnets": ["<PublicSubnet>"]}, False),
        ({**IN_THE_VPC, "sagemaker:VpcSecurityGroupIds": ["<EfsSecurityGroup>"]}, False),
    ],
)
def test_a_pipeline_starts_jobs_in_the_private_subnets_alone(stack, action, job, context, answer):
    assert allowed(stack, "PipelineRole", action, job, context) is answer
    assert not allowed(stack, "PipelineRole", action, job.replace("pipelines-", "mine-"), context)
    assert not allowed(stack, "JobRole", action, job, context)
    assert not allowed(stack, "NotebookRole", action, job, context)


def test_references_may_be_real_names(parsed):
    stack = Stack(parsed, values={"Bucket.Arn": BUCKET, "Key.Arn": KEY, "PrivateSubnetA": "a", "PrivateSubnetB": "b"})
    for name in ("JobRole", "NotebookRole"):
        assert allowed(stack, name, "s3:PutObject", f"{BUCKET}/runs/x")
        assert allowed(stack, name, "s3:ListBucket", BUCKET)
        assert allowed(stack, name, "s3:DeleteObject", f"{BUCKET}/runs/x") is (name == "NotebookRole")
        assert not allowed(stack, name, "s3:DeleteObject", f"{BUCKET}/models/x")
        assert not allowed(stack, name, "s3:GetObject", f"{BUCKET}-of-others/x")
        assert allowed(stack, name, "kms:GenerateDataKey", KEY)
    assert allowed(stack, "PipelineRole", "s3:GetObject", f"{BUCKET}/runs/x")
    assert not allowed(stack, "PipelineRole", "s3:GetObject", f"{BUCKET}/datasets/x")
    assert not allowed(stack, "PipelineRole", "s3:PutObject", f"{BUCKET}/runs/x")


def test_pairs_list_what_a_role_is_allowed(parsed):
    allowed_pairs = pairs(Stack(parsed, values={"Bucket.Arn": BUCKET}), "JobRole")
    assert ("s3:PutObject", f"{BUCKET}/*") in allowed_pairs
    assert ("ec2:DescribeVpcs", "*") in allowed_pairs
    assert not any(action == "sagemaker:CreateModel" for action, _ in allowed_pairs), "a denial is no permission"
    assert allowed_pairs == sorted(set(allowed_pairs))
