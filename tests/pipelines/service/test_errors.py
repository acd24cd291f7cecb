"""Every bad answer as one line that says what to do."""

import errno
from pathlib import Path

import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError

from pipelines.local.errors import refused
from pipelines.service.errors import explain, explain_disk, is_passing, missing_permission, own_words

ME = "arn:aws:sts::111122223333:assumed-role/developer/me"
PASS_ROLE = (
    f"User: {ME} is not authorized to perform: iam:PassRole on resource: arn:aws:iam::111122223333:role/pathology-pipeline "
    "because no identity-based policy allows the iam:PassRole action"
)


def answered(code, message="", operation="CreatePipeline", status=400):
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (aws.NoRegionError(), "no AWS region is set"),
        (aws.NoCredentialsError(), "no usable AWS credentials"),
        (aws.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "no usable AWS credentials"),
        (aws.ProfileNotFound(profile="mine"), "mine"),
        (aws.UnauthorizedSSOTokenError(), "aws sso login"),
        (aws.SSOTokenLoadError(error_msg="gone"), "aws sso login"),
        (aws.EndpointConnectionError(endpoint_url="https://x"), "AWS cannot be reached"),
        (aws.ReadTimeoutError(endpoint_url="https://x"), "AWS cannot be reached"),
        (aws.ParamValidationError(report="x"), "the call to AWS could not be made"),
        (answered("ExpiredTokenException", "The security token included in the request is expired"), "have expired"),
        (answered("ExpiredToken", operation="PutObject"), "have expired"),
        (answered("UnrecognizedClientException"), "AWS does not know these credentials"),
        (answered("InvalidSignatureException"), "check this machine's clock"),
        (
            answered("ValidationException", PASS_ROLE),
            f"{ME} lacks the permission iam:PassRole on arn:aws:iam::111122223333:role/",
        ),
        (answered("AccessDeniedException", PASS_ROLE), "(iam:PassedToService: sagemaker.amazonaws.com)"),
        (answered("AccessDeniedException", "no"), "lack the permission for CreatePipeline (no)"),
        (answered("AccessDeniedException", "no", "DescribeImages"), "lack the permission for DescribeImages (no)"),
        (answered("AccessDenied", "Access Denied", "PutObject"), "lack the permission s3:PutObject"),
        (answered("403", "Forbidden", "HeadObject"), "lack the permission s3:GetObject"),
        (answered("NoSuchBucket", operation="PutObject"), "there is no bucket"),
        (answered("ThrottlingException", "Rate exceeded"), "AWS kept refusing CreatePipeline"),
        (answered("InternalFailure", status=500), "AWS kept refusing CreatePipeline"),
        (
            answered("ValidationException", "A step is wrong."),
            "AWS refused CreatePipeline: ValidationException: A step is wrong.",
        ),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(error, expected):
    line = explain(error)
    assert expected in line
    assert "\n" not in line


def test_a_permission_is_found_in_a_steps_reason_and_in_quotes():
    assert missing_permission("the label table has no column label") is None
    quoted = f'User: {ME} is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::bucket/key" because …'
    assert (
        missing_permission(quoted)
        == f"{ME} lacks the permission s3:PutObject on arn:aws:s3:::bucket/key: add it to that role's policy"
    )


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (answered("ThrottlingException"), True),
        (answered("SlowDown", status=503), True),
        (answered("ServiceUnavailable", status=503), True),
        (aws.EndpointConnectionError(endpoint_url="https://x"), True),
        (aws.ConnectTimeoutError(endpoint_url="https://x"), True),
        (answered("ExpiredTokenException"), False),
        (answered("AccessDeniedException"), False),
        (aws.NoCredentialsError(), False),
    ],
)
def test_what_a_later_try_may_fix(error, passing):
    assert is_passing(error) is passing


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("AlgorithmError: labels.csv has no column label, exit code: 1", "labels.csv has no column label"),
        ("ClientError: AlgorithmError: epochs: unknown key, exit code: 2", "epochs: unknown key"),
        ("step PrepareMsi: AlgorithmError: two\nlines, exit code: 1", "step PrepareMsi: two\nlines"),
        (f"AlgorithmError: {'w' * 1008}", "w" * 1008),
        *(
            (text, text)
            for text in (
                "AlgorithmError: asleep, exit code: 137 (SIGKILL)",
                "AlgorithmError: , exit code: 1",
                "InternalServerError: no room",
                "ClientError: Failed to invoke sagemaker:CreateTrainingJob.",
                "AUROC 0.5 is below the threshold 0.6; nothing was registered.",
            )
        ),
    ],
)
def test_a_jobs_mistake_is_in_its_own_words(reason, said):
    assert own_words(reason) == said


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.EROFS, "x", "/state/executions/a/.execution.json.12-0123abcd.tmp"),
            "/state/executions/a/execution.json: read-only file system: make that disk writable, "
            "or set PATHOLOGY_STATE to a folder that is, then run this again",
        ),
        (OSError(errno.ENOSPC, "x"), "/state: no space left on device: make room on that disk, then run this again"),
        (
            NotADirectoryError(errno.ENOTDIR, "x", b"/state/jobs"),
            "/state/jobs: not a directory: move away what stands there, then run this again",
        ),
    ],
)
def test_what_a_disk_will_not_do_names_the_file_that_people_know(error, line):
    assert explain_disk(error, Path("/state")) == line


def test_a_refusal_of_this_machine_says_so():
    assert explain(refused("StopPipelineExecution", "It has ended.")) == (
        "this machine refused StopPipelineExecution: It has ended."
    )
