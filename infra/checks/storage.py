"""What holds data: encrypted, kept when the stack goes, closed to strangers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.checks.iam import allowed, parse_statements, role_of
from infra.checks.template import PSEUDO, Finding, Findings, Resource, Stack, as_list

KEPT = (
    *("EFS::FileSystem", "S3::Bucket", "ECR::Repository", "Logs::LogGroup"),
    "KMS::Key",  # without the key the rest is noise
)
CHECKPOINTS = "checkpoints/"
"""Where steps/jobs.py has spot trainings keep theirs."""
CLEANED = ("prepared/", "runs/")
"""What pipelines leave, and python -m pipelines.clean deletes where no model version names it."""
LEDGER = "ledger/"
"""Where jobs count the looks at a test set."""
KEPT_DAYS = 30
"""For so long at least what was overwritten or deleted can be had back."""
REPOSITORIES = ("pathology-cucim-tiler", "pathology-training")
_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_ROOT = f"arn:aws:iam::{PSEUDO['AWS::AccountId']}:root"


def check_kept(stack: Stack) -> Findings:
    """What holds data outlives the stack."""
    for kind in KEPT:
        for resource in stack.of(kind):
            for name, value in zip(("DeletionPolicy", "UpdateReplacePolicy"), resource.keeps, strict=True):
                if value != "Retain":
                    yield Finding(resource.name, f"holds data and its {name} is {value or 'missing'}, not Retain")


def check_file_systems(stack: Stack) -> Findings:
    """EFS is encrypted with our key, backed up, and moves what nobody reads to cheaper storage."""
    for efs in stack.of("EFS::FileSystem"):
        if efs["Encrypted"] is not True or not _ours(stack, efs["KmsKeyId"]):
            yield Finding(efs.name, "is not encrypted with the stack's key")
        if (efs["BackupPolicy"] or {}).get("Status") != "ENABLED":
            yield Finding(efs.name, "is not backed up")
        if not any("TransitionToIA" in policy for policy in as_list(efs["LifecyclePolicies"])):
            yield Finding(efs.name, "has no lifecycle: what nobody reads stays at the full price")
        refusing = any(_refuses_plain(item) for item in as_list((efs["FileSystemPolicy"] or {}).get("Statement")))
        asked = stack.parameters.get("EfsDemandsTls") == "yes"
        if efs["FileSystemPolicy"] and not asked:
            yield Finding(efs.name, "has a policy unasked: a training job's mount has no TLS setting and probably fails")
        if asked and not refusing:
            yield Finding(efs.name, "lets plain NFS in although EfsDemandsTls asks for TLS")


def check_buckets(stack: Stack) -> Findings:
    """Buckets are encrypted, versioned, closed to the public and to plain HTTP."""
    for bucket in stack.of("S3::Bucket"):
        yield from _check_encryption(stack, bucket)
        if (bucket["VersioningConfiguration"] or {}).get("Status") != "Enabled":
            yield Finding(bucket.name, "keeps no versions: what is overwritten is gone")
        missing = [name for name in _BLOCKS if (bucket["PublicAccessBlockConfiguration"] or {}).get(name) is not True]
        if missing:
            yield Finding(bucket.name, f"could be made public: {', '.join(missing)} is not on")
        owned = [rule.get("ObjectOwnership") for rule in as_list((bucket["OwnershipControls"] or {}).get("Rules"))]
        if owned != ["BucketOwnerEnforced"]:
            yield Finding(bucket.name, "has access lists: its objects' owner should be the bucket's, enforced")
        rules = [
            rule for rule in as_list((bucket["LifecycleConfiguration"] or {}).get("Rules")) if rule.get("Status") == "Enabled"
        ]
        for key in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"):
            if not any(rule.get(key) for rule in rules if not rule.get("Prefix")):
                yield Finding(bucket.name, f"its lifecycle has no {key}: what nobody can see is paid for ever")
        if not _takes_logs(stack, bucket):
            yield from _check_expiry(bucket, rules)
            clearing = [rule for rule in rules if rule.get("Prefix") == CHECKPOINTS and rule.get("ExpirationInDays")]
            if not any(rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", 99) <= 7 for rule in clearing):
                yield Finding(bucket.name, f"nothing clears {CHECKPOINTS}: every spot training leaves gigabytes there")
        policies = [policy for policy in stack.of("S3::BucketPolicy") if policy["Bucket"] == bucket.ref]
        statements = [item for policy in policies for item in as_list(policy["PolicyDocument"]["Statement"])]
        yield from _check_access_log(stack, bucket)
        if not any(_demands_tls(item, bucket) for item in statements):
            yield Finding(bucket.name, "has no policy that refuses plain HTTP")
        yield from (
            Finding(bucket.name, f"lets anybody in (statement {item.get('Sid', '')})")
            for item in statements
            if item["Effect"] == "Allow" and "*" in _principals(item)
        )


def _check_expiry(bucket: Resource, rules: list[dict[str, Any]]) -> Iterator[Finding]:
    """Outside of checkpoints nothing current expires, since no rule knows what a version names, and what was deleted can be had back."""
    for rule in rules:
        name, elsewhere = rule.get("Id"), not str(rule.get("Prefix", "")).startswith(CHECKPOINTS)
        if elsewhere and (rule.get("ExpirationInDays") or rule.get("ExpirationDate")):
            yield Finding(bucket.name, f"its rule {name} lets current objects expire, and model versions may name them")
        days = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", KEPT_DAYS)
        if elsewhere and days < KEPT_DAYS:
            yield Finding(bucket.name, f"its rule {name} keeps what was overwritten or deleted for {days} days, not {KEPT_DAYS}")
    if not any(rule.get("ExpiredObjectDeleteMarker") is True for rule in rules if not rule.get("Prefix")):
        yield Finding(bucket.name, "its lifecycle leaves delete markers behind: ExpiredObjectDeleteMarker is not on")


def check_ledger(stack: Stack) -> Findings:
    """What is in the ledger stays as it is: it is written by conditional puts alone (S3 user guide, "Enforce conditional writes")."""
    bucket = stack.named(stack.outputs.get("BucketName"), "S3::Bucket")
    if bucket is None:
        return
    documents = [policy["PolicyDocument"] for policy in stack.of("S3::BucketPolicy") if policy["Bucket"] == bucket.ref]
    denials = [
        one
        for document in documents
        for item, one in zip(document["Statement"], parse_statements(bucket.name, document), strict=True)
        if not one.allows and "*" in _principals(item)
    ]
    entry, plain = f"<{bucket.name}.Arn>/{LEDGER}x", {"aws:SecureTransport": "true"}
    conditional = {**plain, "s3:if-none-match": "*"}
    if not any(one.applies("s3:PutObject", entry, plain) for one in denials):
        yield Finding(bucket.name, f"lets {LEDGER} be overwritten: no Deny refuses a put without If-None-Match")
    for key, context in ((entry, conditional), (f"<{bucket.name}.Arn>/runs/x", plain)):
        if any(one.applies("s3:PutObject", key, context) for one in denials):
            yield Finding(bucket.name, f"its policy refuses a put of {key.partition('/')[2]}")


def check_deletion(stack: Stack) -> Findings:
    """People clean what pipelines left; nobody deletes anything else, and nobody a version of an object."""
    bucket = stack.named(stack.outputs.get("BucketName"), "S3::Bucket")
    people = role_of(stack, stack.outputs.get("NotebookRoleArn"))
    if bucket is None:
        return
    for role in stack.of("IAM::Role"):
        for prefix in (*CLEANED, LEDGER, "models/", "datasets/", "features/", "code/", ""):
            key = f"<{bucket.name}.Arn>/{prefix}x"
            may = allowed(stack, role.name, "s3:DeleteObject", key)
            if may != (role is people and prefix in CLEANED):
                yield Finding(role.name, f"{'may' if may else 'may not'} delete {prefix}x of the bucket")
            if allowed(stack, role.name, "s3:DeleteObjectVersion", key):
                yield Finding(role.name, f"may delete versions of {prefix}x: what was deleted by mistake is gone")


def _check_encryption(stack: Stack, bucket: Resource) -> Iterator[Finding]:
    rules = as_list((bucket["BucketEncryption"] or {}).get("ServerSideEncryptionConfiguration"))
    chosen = [rule.get("ServerSideEncryptionByDefault", {}) for rule in rules]
    # Only S3's own key takes the access logs of every region and account (S3 user guide, "Enabling server access logging").
    if _takes_logs(stack, bucket) and [item.get("SSEAlgorithm") for item in chosen] == ["AES256"]:
        return
    if [item.get("SSEAlgorithm") for item in chosen] != ["aws:kms"] or not _ours(stack, chosen[0].get("KMSMasterKeyID")):
        yield Finding(bucket.name, "is not encrypted with the stack's key")


def _check_access_log(stack: Stack, bucket: Resource) -> Iterator[Finding]:
    """Reads and writes are recorded, in a bucket that takes records (S3 user guide, "Enabling server access logging")."""
    target = stack.named((bucket["LoggingConfiguration"] or {}).get("DestinationBucketName"), "S3::Bucket")
    if target is None:
        if not _takes_logs(stack, bucket):
            yield Finding(bucket.name, "keeps no record of who reads it")
        return
    policies = [policy["PolicyDocument"] for policy in stack.of("S3::BucketPolicy") if policy["Bucket"] == target.ref]
    letting = [
        item
        for document in policies
        for item in as_list(document["Statement"])
        if item["Effect"] == "Allow" and _principals(item) == ["logging.s3.amazonaws.com"] and item["Action"] == "s3:PutObject"
    ]
    if not any(as_list(item["Resource"]) == [f"<{target.name}.Arn>/*"] for item in letting):
        yield Finding(target.name, f"does not let S3 write the records of {bucket.name}")
    for item in letting:
        if item.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount") != PSEUDO["AWS::AccountId"]:
            yield Finding(target.name, "takes records of any account: ask for aws:SourceAccount")


def _takes_logs(stack: Stack, bucket: Resource) -> bool:
    return any(
        (other["LoggingConfiguration"] or {}).get("DestinationBucketName") == bucket.ref for other in stack.of("S3::Bucket")
    )


def _demands_tls(item: dict[str, Any], bucket: Resource) -> bool:
    everything = {f"<{bucket.name}.Arn>", f"<{bucket.name}.Arn>/*"} <= set(as_list(item["Resource"]))
    return bool(item["Principal"] == "*" and item["Action"] == "s3:*" and everything and _refuses_plain(item))


def _refuses_plain(item: dict[str, Any]) -> bool:
    secure = item.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return item["Effect"] == "Deny" and str(secure).lower() == "false"


def _principals(item: dict[str, Any]) -> list[str]:
    principal = item.get("Principal", {})
    return [principal] if isinstance(principal, str) else [one for value in principal.values() for one in as_list(value)]


def check_repositories(stack: Stack) -> Findings:
    """Image repositories have the names that scripts use; a tag never moves."""
    if stack.template.get("Conditions", {}).get("WithRegistries"):
        missing = set(REPOSITORIES) - {item["RepositoryName"] for item in stack.of("ECR::Repository")}
        if missing:
            yield Finding("ECR::Repository", f"there is none named {', '.join(sorted(missing))}")
    for repository in stack.of("ECR::Repository"):
        if repository["ImageTagMutability"] != "IMMUTABLE":
            yield Finding(repository.name, "its tags can be moved: build_and_push.sh refuses that")
        if (repository["ImageScanningConfiguration"] or {}).get("ScanOnPush") is not True:
            yield Finding(repository.name, "its images are not scanned")
        encryption = repository["EncryptionConfiguration"] or {}
        if encryption.get("EncryptionType") != "KMS" or not _ours(stack, encryption.get("KmsKey")):
            yield Finding(repository.name, "is not encrypted with the stack's key")


_HERE = f"{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}"
_CONFINED = (
    (f"logs.{PSEUDO['AWS::Region']}.amazonaws.com", "kms:EncryptionContext:aws:logs:arn", "logs"),
    ("events.amazonaws.com", "kms:EncryptionContext:aws:sns:topicArn", "sns"),
)
"""Services that use the key, the condition that confines each, and whose ARNs of this account it names."""


def check_keys(stack: Stack) -> Findings:
    """The key turns every year, belongs to the account, and serves CloudWatch Logs and notices of this account alone."""
    for key in stack.of("KMS::Key"):
        if key["EnableKeyRotation"] is not True:
            yield Finding(key.name, "is never rotated")
        items = as_list(key["KeyPolicy"]["Statement"])
        if not any(_principals(item) == [_ROOT] and item["Action"] == "kms:*" for item in items if item["Effect"] == "Allow"):
            yield Finding(key.name, "does not belong to its account: nobody could ever change it again")
        for item in items:
            outside = [one for one in _principals(item) if one != _ROOT]
            conditions = item.get("Condition", {}).get("ArnLike", {})
            confined = any(
                outside == [service] and str(conditions.get(key, "")).startswith(f"arn:aws:{name}:{_HERE}:")
                for service, key, name in _CONFINED
            )
            if item["Effect"] == "Allow" and outside and not confined:
                yield Finding(key.name, f"lets {', '.join(outside)} use it (statement {item.get('Sid', '')})")


def _serves_logs(key: Resource) -> bool:
    """CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using KMS"."""
    wanted = {f"kms:{name}" for name in ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")}
    logs = f"logs.{PSEUDO['AWS::Region']}.amazonaws.com"
    given = [item for item in as_list(key["KeyPolicy"]["Statement"]) if _principals(item) == [logs] and item["Effect"] == "Allow"]
    return any(wanted <= set(as_list(item["Action"])) for item in given)


def check_logs(stack: Stack) -> Findings:
    """Log groups end some day, and are encrypted."""
    for group in stack.of("Logs::LogGroup"):
        if not group["RetentionInDays"]:
            yield Finding(group.name, "is kept for ever: give RetentionInDays")
        key = stack.named(group["KmsKeyId"], "KMS::Key")
        if key is not None and not _serves_logs(key):
            yield Finding(key.name, f"its policy does not let CloudWatch Logs encrypt {group.name}")
        if not _ours(stack, group["KmsKeyId"]):
            yield Finding(group.name, "is not encrypted with the stack's key")


def _ours(stack: Stack, key: Any) -> bool:
    """Whether a resolved reference is the stack's own key, or the one that the infrastructure's stack exports."""
    return stack.named(key, "KMS::Key") is not None or str(key).endswith("-KmsKeyArn>")
