"""What stands in the service: endpoints with their configurations and tags, read and followed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from pathology.contracts.errors import RequestError
from pathology.contracts.refusals import is_denied, is_missing

from pipelines.service.hosting.plan import BY, TASK, UNAPPROVED, VERSION
from pipelines.service.paging import paginate
from pipelines.service.polling import call_with_retries, poll_interval
from pipelines.service.session import Session
from steps.shapes import Answer

IN_SERVICE, FAILED = "InService", "Failed"
CHANGING = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
"""Nothing may be changed meanwhile."""


@dataclass(frozen=True)
class Standing:
    """An endpoint as Describe answers it, with its ``tags`` and those of its configuration, ``served``: which version it is, and who
    deployed it. Those hold also where an update was left alone, or was rolled back."""

    described: Answer
    tags: dict[str, str]
    served: dict[str, str]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.described["EndpointName"])

    @property
    def arn(self) -> str:
        """Its ARN."""
        return str(self.described["EndpointArn"])

    @property
    def status(self) -> str:
        """InService, Creating, Updating, …"""
        return str(self.described["EndpointStatus"])

    @property
    def config(self) -> str:
        """The name of its configuration."""
        return str(self.described.get("EndpointConfigName", ""))

    @property
    def reason(self) -> str:
        """Why it failed, where the service says so."""
        return " ".join(str(self.described.get("FailureReason") or "").split())

    @property
    def task(self) -> str | None:
        """The task that it was deployed for; None of an endpoint that is not ours."""
        return self.tags.get(TASK)

    @property
    def version(self) -> str | None:
        """The ARN of the version that it serves."""
        return self.served.get(VERSION)

    @property
    def number(self) -> str:
        """The version's number, as its ARN ends."""
        return (self.version or "").rpartition("/")[2]

    @property
    def by(self) -> str | None:
        """Who deployed it."""
        return self.served.get(BY)

    @property
    def unapproved(self) -> str | None:
        """That its version was not approved, and who allowed that; None of one that was."""
        return self.served.get(UNAPPROVED)

    @property
    def since(self) -> datetime:
        """When it was last changed."""
        changed: datetime = self.described["LastModifiedTime"]
        return changed

    @property
    def instances(self) -> int:
        """How many hosts it has, or is to have."""
        return sum(
            int(one.get("CurrentInstanceCount") or one.get("DesiredInstanceCount") or 0)
            for one in self.described.get("ProductionVariants") or []
        )


def standing(session: Session, name: str) -> Standing | None:
    """The endpoint of this name, or None."""
    try:
        described = dict(session.sagemaker.describe_endpoint(EndpointName=name))
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    arn, config = str(described["EndpointArn"]), str(described.get("EndpointConfigName", ""))
    tags = tags_of(session, arn)
    if TASK not in tags or not config:
        return Standing(described, tags, {})
    served = tags_of(session, f"{arn.rpartition(':')[0]}:endpoint-config/{config.lower()}")
    return Standing(described, tags, served or tags)  # a configuration may be deleted under its endpoint


def tags_of(session: Session, arn: str) -> dict[str, str]:
    """A resource's tags; none where it is gone."""
    try:
        return {tag["Key"]: tag["Value"] for tag in paginate(session.sagemaker.list_tags, "Tags", ResourceArn=arn)}
    except ClientError as error:
        if is_missing(error):
            return {}
        raise


def all_standing(session: Session) -> tuple[list[Standing], int]:
    """All endpoints that deploy made, by name, and how many others there are; those that the caller may not look at are among them."""
    ours, others = [], 0
    summaries = paginate(session.sagemaker.list_endpoints, "Endpoints", SortBy="Name", SortOrder="Ascending", MaxResults=100)
    for summary in summaries:
        try:
            found = standing(session, summary["EndpointName"])
        except ClientError as error:
            if not is_denied(error):
                raise
            others += 1
            continue
        if found is None:
            continue  # deleted meanwhile
        if found.task and found.version:
            ours.append(found)
        else:
            others += 1
    return ours, others


def described_config(session: Session, name: str) -> dict[str, Any] | None:
    """An endpoint configuration, or None."""
    return _described(partial(session.sagemaker.describe_endpoint_config, EndpointConfigName=name))


def described_model(session: Session, name: str) -> dict[str, Any] | None:
    """A model, or None."""
    return _described(partial(session.sagemaker.describe_model, ModelName=name))


def _described(call: Any) -> dict[str, Any] | None:
    try:
        return dict(call())
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def require_ours(found: Standing, task: str) -> None:
    """Check that an endpoint is of this task.

    Raises:
        RequestError: when its name is taken by another.
    """
    if found.task != task or not found.version:
        whose = f"is an endpoint of {found.task}" if found.task else "was not made by pipelines.deploy"
        raise RequestError(f"endpoint {found.name} {whose}: choose another name with --name")


def followed(session: Session, name: str) -> Iterator[Standing | None]:
    """An endpoint's states until it changes no more; None where it is gone, which is an end."""
    pause = poll_interval(session)
    while True:
        found = call_with_retries(lambda: standing(session, name), pause)
        yield found
        if found is None or found.status not in CHANGING:
            return
        time.sleep(pause)
