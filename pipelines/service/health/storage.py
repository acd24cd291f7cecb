"""The bucket, which is the record, and the key that it is encrypted with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from pipelines.service.health.lines import Lines, ok, problem, unknown, verdict
from pipelines.service.health.subject import Subject, code_of

_GONE = frozenset({"404", "NoSuchBucket"})
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def bucket(subject: Subject) -> Lines:
    """It exists, in the environment's region: SageMaker reads from no other."""
    env = subject.environment
    try:
        answer = subject.clients["s3"].head_bucket(Bucket=env.bucket)
    except ClientError as error:
        if code_of(error) in _GONE:
            yield problem("bucket", f"there is no bucket {env.bucket}: deploy the stack, or correct the environment's file")
            return
        region = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", env.region)
        if region == env.region and code_of(error) in ("403", "AccessDenied"):
            yield unknown(
                "bucket", f"S3 refuses to show {env.bucket}: it is another account's, or these credentials lack s3:ListBucket"
            )
            return
        if region == env.region:
            raise
        answer = {"BucketRegion": region}
    region = answer.get("BucketRegion") or env.region
    wrong = (
        [] if region == env.region else [f"{env.bucket} is in {region}, not in {env.region}: jobs need a bucket in their region"]
    )
    yield from verdict("bucket", wrong, f"{env.bucket} in {region}")


def encryption(subject: Subject) -> Lines:
    """New objects are encrypted with the environment's key where there is one."""
    env = subject.environment
    answer = _of_bucket(subject, subject.clients["s3"].get_bucket_encryption, "ServerSideEncryptionConfigurationNotFoundError")
    if answer is None:
        return
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    defaults = [rule["ApplyServerSideEncryptionByDefault"] for rule in rules if "ApplyServerSideEncryptionByDefault" in rule]
    default = defaults[0] if defaults else {}
    algorithm, key = default.get("SSEAlgorithm", "nothing"), default.get("KMSMasterKeyID")
    with_key = algorithm.startswith("aws:kms") and key is not None and _same_key(key, env.kms_key or key)
    wrong = []
    if algorithm == "nothing":
        wrong.append(f"{env.bucket} has no default encryption: set it, with the environment's kms_key if there is one")
    elif env.kms_key and not with_key:
        wrong.append(
            f"new objects in {env.bucket} are encrypted with {key or algorithm}, not with kms_key: set the bucket's default"
        )
    yield from verdict("bucket encryption", wrong, key or algorithm)


def _same_key(one: str, other: str) -> bool:
    return one.rpartition("/")[2] == other.rpartition("/")[2]


def versions(subject: Subject) -> Lines:
    """What is overwritten or deleted can be had back."""
    name = subject.environment.bucket
    answer = _of_bucket(subject, subject.clients["s3"].get_bucket_versioning)
    if answer is None:
        return
    wrong = [] if answer.get("Status") == "Enabled" else [f"{name} keeps no versions: turn versioning on, it is the record"]
    yield from verdict("bucket versions", wrong, "kept")


def public_access(subject: Subject) -> Lines:
    """All four blocks of public access are on."""
    name = subject.environment.bucket
    answer = _of_bucket(subject, subject.clients["s3"].get_public_access_block, "NoSuchPublicAccessBlockConfiguration")
    if answer is None:
        return
    blocks = answer.get("PublicAccessBlockConfiguration", {})
    off = [block for block in _BLOCKS if not blocks.get(block)]
    wrong = [f"{name} lacks {', '.join(off)}: turn on the bucket's public access block, all four"] if off else []
    yield from verdict("bucket public access", wrong, "blocked")


def _of_bucket(subject: Subject, call: Callable[..., Any], none: str = "") -> dict[str, Any] | None:
    """The answer, empty where ``none`` is set; None where there is no bucket, which has a line already."""
    try:
        answer: dict[str, Any] = call(Bucket=subject.environment.bucket)
    except ClientError as error:
        if code_of(error) in _GONE:
            return None
        if code_of(error) == none:
            return {}
        raise
    return answer


def key(subject: Subject) -> Lines:
    """The key can be used."""
    arn = subject.environment.kms_key
    if arn is None:
        yield ok("key", "none given: AWS's own keys encrypt volumes and outputs")
        return
    try:
        metadata = subject.clients["kms"].describe_key(KeyId=arn)["KeyMetadata"]
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise
        yield problem("key", f"there is no key {arn}: correct kms_key in the environment's file")
        return
    state = metadata["KeyState"]
    cure = "cancel its deletion at once, without it the data are lost" if state == "PendingDeletion" else "enable it"
    yield from verdict("key", [] if state == "Enabled" else [f"{arn} is {state}: {cure}"], "enabled")
