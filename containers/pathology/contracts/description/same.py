"""Which earlier version a new one is the same as: one whose evaluation says the same of the same artefact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pathology.contracts.refusals import is_missing

EVALUATION_SHA256, SAME_AS = "evaluation_sha256", "same_as"
"""Keys of a version's metadata."""
MAX_COMPARED = 200
"""Each costs a call."""


def same_as(client: Any, arn: str, evaluation_sha256: str) -> tuple[int | None, int]:
    """The number of the version of this group that ``arn`` is the same as, None for none, and with how many it was compared.

    Of the same ones it is the first that is still there; the latest :data:`MAX_COMPARED` are looked at.

    Raises:
        ClientError: as ``client``, boto3's of SageMaker, does.
    """
    group, _, number = arn.partition(":model-package/")[2].rpartition("/")
    compared = 0
    for version in _before(client, group, int(number)):
        metadata = _metadata(client, version)
        compared += 1
        if metadata.get(EVALUATION_SHA256) == evaluation_sha256:
            return _first(client, version, metadata, evaluation_sha256), compared
        if compared == MAX_COMPARED:
            break
    return None, compared


def _before(client: Any, group: str, number: int) -> Iterator[str]:
    """ARNs of the group's earlier versions, latest first."""
    asked = {"ModelPackageGroupName": group, "SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 100}
    while True:
        page = client.list_model_packages(**asked)
        found = (str(one["ModelPackageArn"]) for one in page["ModelPackageSummaryList"])
        yield from (arn for arn in found if _number(arn) < number)
        if not page.get("NextToken"):
            return
        asked["NextToken"] = page["NextToken"]


def _number(arn: str) -> int:
    return int(arn.rpartition("/")[2])


def _metadata(client: Any, arn: str) -> dict[str, str]:
    """None left of a version that was deleted meanwhile."""
    try:
        return dict(client.describe_model_package(ModelPackageName=arn).get("CustomerMetadataProperties") or {})
    except client.exceptions.ClientError as error:
        if is_missing(error):
            return {}
        raise


def _first(client: Any, arn: str, metadata: dict[str, str], evaluation_sha256: str) -> int:
    named = metadata.get(SAME_AS, "")
    if named.isdecimal():
        first = f"{arn.rpartition('/')[0]}/{named}"
        if _metadata(client, first).get(EVALUATION_SHA256) == evaluation_sha256:
            return int(named)
    return _number(arn)
