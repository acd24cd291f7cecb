"""What the service's errors mean, and for each the one line that says what to do."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError
from pathology.contracts.refusals import code_of, is_denied, message_of

from pipelines.local.errors import LocalRefusedError

_TAKEN = ("already exists", "already exist", "must be unique", "resourceinuse")
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "SlowDown"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_KEYS = frozenset({"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure"})
_BAD_CLOCK = frozenset({"RequestTimeTooSkewed", "InvalidSignatureException", "SignatureDoesNotMatch"})
_UNREACHABLE = (aws.ConnectionError, aws.HTTPClientError, aws.ConnectionClosedError)
_NO_CREDENTIALS = (
    *(aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.ProfileNotFound),
    *(aws.SSOError, aws.TokenRetrievalError, aws.NoAuthTokenError, aws.LoginError),
)
_DENIED = re.compile(
    r"User: (?P<who>\S+) is not authorized to perform: (?P<permission>[\w:*-]+)(?: on resource: \"?(?P<resource>[^\s\"]+))?"
)
_SAID = re.compile(r"(?:ClientError: )?AlgorithmError: (?!, exit code)(\S.*?)(?:, exit code: (\d+).*)?\Z", re.DOTALL)
_BY_ITSELF = ("1", "2", None)
"""Exit codes of a job that ended itself; None: cut off, as what is long is."""
_PERMISSIONS = {
    **dict.fromkeys(("GetObject", "HeadObject"), "s3:GetObject"),
    **dict.fromkeys(("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), "s3:PutObject"),
    **dict.fromkeys(("ListObjectsV2", "HeadBucket"), "s3:ListBucket"),
    "DeleteObjects": "s3:DeleteObject",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
}
"""What S3's operations need. Its refusals name no permission; those of the other services do."""


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_taken(error: ClientError) -> bool:
    """Whether the answer means "there is one already"; the service has two wordings."""
    return any(words in f"{code_of(error)} {message_of(error)}".lower() for words in _TAKEN)


def is_passing(error: Exception) -> bool:
    """Whether a later try may well succeed: no connection, throttling, a fault of the service."""
    if isinstance(error, ClientError):
        return code_of(error) in _THROTTLED or _status(error) >= 500
    return isinstance(error, _UNREACHABLE)


def missing_permission(text: str) -> str | None:
    """The line that names who lacks which permission, of AWS's words about it; None for any other text."""
    denied = _DENIED.search(text)
    if denied is None:
        return None
    on = f" on {denied['resource']}" if denied["resource"] else ""
    condition = " (iam:PassedToService: sagemaker.amazonaws.com)" if denied["permission"] == "iam:PassRole" else ""
    return f"{denied['who']} lacks the permission {denied['permission']}{on}: add it to that role's policy{condition}"


def own_words(reason: str) -> str:
    """What a job said of its own failure, out of what the service wraps around it: the job ended itself, in a line for people.

    Whatever else ended it, such as a signal, keeps the service's words and the exit code.
    """
    said = _SAID.search(reason)
    return reason[: said.start()] + said[1] if said and said[2] in _BY_ITSELF else reason


def explain(error: BotoCoreError | ClientError) -> str:
    """One line for an error that outlasted botocore's own tries: what it was, and what a person can do about it."""
    return " ".join((_answered(error) if isinstance(error, ClientError) else _unsent(error)).split())


_TEMPORARY = re.compile(r"\.(?P<name>.+)\.\d+-[0-9a-f]{8}\.tmp")
"""A file while it is written, as ``pathology.contracts.storage.temp_sibling`` names it; people know it by what it is to become."""
_ON_A_DISK = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room on that disk, then run this again"),
    errno.EROFS: "make that disk writable, or set PATHOLOGY_STATE to a folder that is, then run this again",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "give yourself the permission, or name another file, then run this again"),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY), "move away what stands there, then run this again"
    ),
    errno.ENOENT: "it was there a moment ago, or a folder above it is missing: put it back, then run this again",
    errno.EIO: "that disk fails: copy what is on it, and set PATHOLOGY_STATE to a folder on another",
}


def explain_disk(error: OSError, state: Path) -> str:
    """One line for what this machine's disk would not do; ``state`` is named where the system named no file."""
    assert error.errno is not None, "the system gave no number"
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes | os.PathLike) else state
    temporary = _TEMPORARY.fullmatch(path.name)
    shown = path.with_name(temporary["name"]) if temporary else path
    what = os.strerror(error.errno)
    return f"{shown}: {what[:1].lower()}{what[1:]}: {_ON_A_DISK.get(error.errno, 'see to that, then run this again')}"


def _unsent(error: BotoCoreError) -> str:
    if isinstance(error, aws.NoRegionError):
        return "no AWS region is set: give the environment's file its region, or set AWS_REGION"
    if isinstance(error, _NO_CREDENTIALS):
        return f"no usable AWS credentials ({error}): log in (aws sso login) or set AWS_PROFILE, then run this again"
    if isinstance(error, _UNREACHABLE):
        return f"AWS cannot be reached ({error}): check the network, then run this again"
    return f"the call to AWS could not be made: {error}"


def _answered(error: ClientError) -> str:
    code, message = code_of(error), message_of(error)
    permission = missing_permission(message)
    if permission:
        return permission
    if code in _EXPIRED:
        return f"the AWS credentials have expired ({code}): log in again (aws sso login), then run this again"
    if code == "400":  # an answer to HEAD has no body
        return f"S3 refused {error.operation_name} without a word, as it does when credentials have expired: log in again"
    if code in _UNKNOWN_KEYS:
        return f"AWS does not know these credentials ({code}): log in again or check AWS_PROFILE"
    if code in _BAD_CLOCK:
        return f"AWS refused the signature ({code}): check this machine's clock and the credentials"
    if is_denied(error):
        wanted = _PERMISSIONS.get(error.operation_name, f"for {error.operation_name}")
        return f"these credentials lack the permission {wanted} ({message or code}): add it to their role's policy"
    if code == "NoSuchBucket":
        name = error.response["Error"].get("BucketName", "the environment's bucket")
        return f"there is no bucket {name}: make it, or correct bucket in the environment's file"
    if isinstance(error, LocalRefusedError):
        return f"this machine refused {error.operation_name}: {message}"
    if is_passing(error):
        return f"AWS kept refusing {error.operation_name} ({code}: {message}): wait a while, then run this again"
    return f"AWS refused {error.operation_name}: {code}: {message}"
