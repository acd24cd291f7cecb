"""Trust policies in the ways that people write them."""

import pytest

from pipelines.config import load_environment
from pipelines.service.health.identity import trusts

SAGEMAKER = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}


def source(account, operator="StringEquals"):
    return {"Condition": {operator: {"aws:SourceAccount": account}}}


@pytest.mark.parametrize(
    ("statement", "trusted"),
    [
        (SAGEMAKER, True),
        ([SAGEMAKER], True),
        ([{**SAGEMAKER, "Principal": {"Service": ["ec2.amazonaws.com", "sagemaker.amazonaws.com"]}}], True),
        ([{**SAGEMAKER, "Action": ["sts:TagSession", "sts:AssumeRole"]}], True),
        ([{**SAGEMAKER, **source("111122223333")}], True),
        ([{**SAGEMAKER, **source(["111122223333"])}], True),
        ([{**SAGEMAKER, **source("4" * 12)}], False),
        ([{**SAGEMAKER, "Effect": "Deny"}], False),
        ([{**SAGEMAKER, "Action": "sts:TagSession"}], False),
        ([{**SAGEMAKER, "Principal": {"Service": "ec2.amazonaws.com"}}], False),
        ([{**SAGEMAKER, "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}], False),
        ([{**SAGEMAKER, "Principal": "*"}], False),
        ([], False),
    ],
)
def test_sagemaker_has_to_be_let_in_for_this_account(statement, trusted):
    assert trusts({"Version": "2012-10-17", "Statement": statement}, load_environment("example")) is trusted
