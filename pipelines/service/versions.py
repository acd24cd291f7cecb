"""A task's model versions: listed, and found by what a person types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.refusals import is_missing

from pipelines.config import group_name
from pipelines.service.paging import paginate
from pipelines.service.session import Session
from pipelines.service.version import Version, read
from pipelines.tasks import TRAIN

LATEST, APPROVED = "latest", "approved"
_ARN = re.compile(r"arn:aws[a-z-]*:sagemaker:[^:]+:\d{12}:model-package/([^/]+)/(\d{1,9})")
_MAX_PAGE_SIZE = 100


def group_arn(session: Session, task: str, kind: str = TRAIN) -> str:
    """The ARN of the group that a task's versions are in.

    Raises:
        RequestError: when there is none yet.
    """
    name = group_name(task, kind=kind)
    try:
        return str(session.sagemaker.describe_model_package_group(ModelPackageGroupName=name)["ModelPackageGroupArn"])
    except ClientError as error:
        if is_missing(error):
            raise RequestError(
                f"{session.environment.name} has no model package group {name}: python -m pipelines.upsert --task {task} makes it"
            ) from None
        raise


def _summaries(session: Session, group: str, limit: int | None, **asked: str) -> list[dict[str, Any]]:
    """Summaries of a group's versions, newest first."""
    pages = paginate(
        session.sagemaker.list_model_packages,
        "ModelPackageSummaryList",
        ModelPackageGroupName=group,
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=min(limit or _MAX_PAGE_SIZE, _MAX_PAGE_SIZE),
        **asked,
    )
    return list(islice(pages, limit))


def listed(session: Session, task: str, kind: str = TRAIN, limit: int | None = None) -> list[Version]:
    """A task's versions, newest first, at most ``limit`` of them; one that is deleted meanwhile is in the list no more."""
    group = group_arn(session, task, kind).rpartition("/")[2]
    return list(_described(session, [item["ModelPackageArn"] for item in _summaries(session, group, limit)]))


def _described(session: Session, arns: list[str]) -> Iterator[Version]:
    for arn in arns:
        try:
            described = dict(session.sagemaker.describe_model_package(ModelPackageName=arn))
        except ClientError as error:
            if is_missing(error):
                continue
            raise
        yield read(session, described)


def find(session: Session, task: str, given: str, kind: str = TRAIN) -> Version:
    """The version with a number or an ARN, the ``latest``, or the latest ``approved``.

    Raises:
        RequestError: when there is no such version, or it is another task's.
    """
    arn = _arn(session, task, given, kind)
    try:
        described = dict(session.sagemaker.describe_model_package(ModelPackageName=arn))
    except ClientError as error:
        if is_missing(error):
            raise RequestError(_unknown(session, task, given, kind)) from None
        raise
    return read(session, described)


def _arn(session: Session, task: str, given: str, kind: str) -> str:
    group = group_arn(session, task, kind)
    name = group.rpartition("/")[2]
    if given in (LATEST, APPROVED):
        found = _summaries(session, name, 1, **({"ModelApprovalStatus": "Approved"} if given == APPROVED else {}))
        if not found:
            raise RequestError(_none(session, task, given, name))
        return str(found[0]["ModelPackageArn"])
    whole = _ARN.fullmatch(given)
    if whole:
        if whole[1].lower() != name.lower():
            raise RequestError(f"{given} is a version of {whole[1]}, and --task {task} has its versions in {name}")
        return given
    if not given.isdecimal() or not 1 <= int(given) < 10**9:
        raise RequestError(f"{given!r} is no version: give its number, its ARN, {LATEST} or {APPROVED}")
    return f"{group.replace(':model-package-group/', ':model-package/')}/{int(given)}"


def _none(session: Session, task: str, given: str, group: str) -> str:
    if given == APPROVED:
        return (
            f"{session.environment.name} has no approved version in {group}: look with python -m pipelines.versions --task {task}, "
            f"and approve one with python -m pipelines.approve"
        )
    return f"{session.environment.name} has no version in {group} yet: python -m pipelines.start --task {task} trains one"


def _unknown(session: Session, task: str, given: str, kind: str) -> str:
    group = group_name(task, kind=kind)
    latest = _summaries(session, group, 1)
    if not latest:
        return _none(session, task, LATEST, group)
    return f"{session.environment.name} has no version {given} in {group}: the latest is {latest[0]['ModelPackageVersion']}"
