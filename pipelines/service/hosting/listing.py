"""What is deployed: every endpoint of ours, with its version, who made it and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from pipelines.service.errors import explain
from pipelines.service.hosting.address import address
from pipelines.service.hosting.standing import Standing, all_standing, described_config
from pipelines.service.session import Session


@dataclass(frozen=True)
class Listed:
    """An endpoint, the ``instance_type`` of its hosts, what they cost an ``hourly`` together (None: not known), and its ``address`` on
    this machine."""

    standing: Standing
    instance_type: str
    hourly: float | None
    address: str | None

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        one = self.standing
        return {
            "endpoint": one.name,
            "arn": one.arn,
            "task": one.task,
            "version": one.number,
            "version_arn": one.version,
            "status": one.status,
            "reason": one.reason or None,
            "since": one.since,
            "deployed_by": one.by,
            "unapproved": one.unapproved,
            "instance_type": self.instance_type,
            "instances": one.instances,
            "hourly": self.hourly,
            "address": self.address,
        }


def listed(session: Session, task: str | None, prices: Mapping[str, float]) -> tuple[list[Listed], int]:
    """All endpoints that deploy made, of a task or of all, and how many others the account has."""
    ours, others = all_standing(session)
    return [_listed(session, one, prices) for one in ours if task in (None, one.task)], others


def _listed(session: Session, one: Standing, prices: Mapping[str, float]) -> Listed:
    variants = (described_config(session, one.config) or {}).get("ProductionVariants") or [{}]
    instance_type = variants[0].get("InstanceType", "")
    price = prices.get(instance_type)
    hourly = None if price is None or session.environment.local else price * one.instances
    return Listed(one, instance_type, hourly, address(session, one.name))


def serving(session: Session, version: str) -> tuple[list[Standing], str | None]:
    """The endpoints that serve a version, by its ARN; or why that cannot be told."""
    try:
        ours, _ = all_standing(session)
    except (ClientError, BotoCoreError) as error:
        return [], explain(error)
    return [one for one in ours if one.version == version], None
