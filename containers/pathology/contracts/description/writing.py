"""What a version is given after registration, and how: one request, and where that is refused a request for each member.

Nothing that is refused is an error, since the version is registered; it is said in words, and kept.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pathology.contracts.description.card import card
from pathology.contracts.description.evaluated import Evaluated
from pathology.contracts.refusals import code_of, is_conflict, is_denied, message_of
from pathology.contracts.registry import registry_text

CARD, LIFE_CYCLE, SOURCE, METADATA = "ModelCard", "ModelLifeCycle", "SourceUri", "CustomerMetadataProperties"
DRAFT = "Draft"
"""A card's status. A person's decision is the version's own status and life cycle: whether the service keeps a card's content where its
status alone is sent is not documented, so approving sends none."""
WAITING = {"Stage": "Development", "StageStatus": "PendingApproval"}
"""The life cycle of a version that waits for a person (SageMaker developer guide, "Set up Staging Construct Examples")."""
WARNINGS = "description_warnings"
"""Key of a version's metadata: what of its description was refused, in short."""
_PENDING = "PendingManualApproval"
_TRIES, _PAUSE_SECONDS = 5, 0.2


@dataclass(frozen=True)
class Refusal:
    """Members of a version that the service would not take, or a question that it would not answer."""

    what: str
    operation: str
    code: str
    message: str
    denied: bool
    """Whether a permission is missing."""
    conflict: bool
    """Whether somebody else was changing the version."""

    @classmethod
    def of(cls, what: str, error: Any) -> Refusal:
        """Out of a ClientError."""
        message = " ".join(message_of(error).split())
        return cls(what, error.operation_name, code_of(error), message, is_denied(error), is_conflict(error))

    @property
    def short(self) -> str:
        """For the metadata, which have room for little."""
        return f"{self.what}: {f'no permission sagemaker:{self.operation}' if self.denied else self.code}"

    def __str__(self) -> str:
        if self.denied:
            return (
                f"{self.what}: the permission sagemaker:{self.operation} is missing: add it to the role's policy ({self.message})"
            )
        return f"{self.what}: {self.operation} was refused ({self.code}: {self.message})"


def absent(described: Mapping[str, Any], evaluated: Evaluated) -> dict[str, Any]:
    """What a version as Describe answers it lacks of card, life cycle and source; what is there, or was decided, stays as it is."""
    members = {
        CARD: {
            "ModelCardContent": card(evaluated, str(described.get("ModelPackageDescription", ""))).content(),
            "ModelCardStatus": DRAFT,
        },
        SOURCE: evaluated.model.archive_uri,
    }
    if described.get("ModelApprovalStatus", _PENDING) == _PENDING:
        members[LIFE_CYCLE] = WAITING
    return {name: value for name, value in members.items() if not described.get(name)}


def write(client: Any, arn: str, members: Mapping[str, Any]) -> tuple[list[str], list[Refusal]]:
    """Update a version by ``client``, boto3's of SageMaker: the names of what was written, and what was refused."""
    refusal = _update(client, arn, members) if members else None
    if refusal is None:
        return list(members), []
    if len(members) == 1:
        return [], [refusal]
    refused = {name: one for name, value in members.items() if (one := _update(client, arn, {name: value}))}
    written = [name for name in members if name not in refused]
    if not written and all(one.denied for one in refused.values()):
        return [], [refusal]
    return written, list(refused.values())


def _update(client: Any, arn: str, members: Mapping[str, Any]) -> Refusal | None:
    """One request; somebody else's at the same time is waited for."""
    for attempt in range(_TRIES):
        try:
            client.update_model_package(ModelPackageArn=arn, **members)
            return None
        except client.exceptions.ClientError as error:
            refusal = Refusal.of(", ".join(members), error)
            if not refusal.conflict or attempt == _TRIES - 1:
                return refusal
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns")


def complete(client: Any, described: Mapping[str, Any], evaluated: Evaluated) -> tuple[list[str], list[Refusal]]:
    """Write what a version lacks of card and source: its life cycle is a decision's.

    What was refused is kept in its metadata; of what was refused before nothing is left there.
    """
    arn, had = described["ModelPackageArn"], WARNINGS in described.get(METADATA, {})
    members = {name: value for name, value in absent(described, evaluated).items() if name != LIFE_CYCLE}
    written, refusals = write(client, arn, members)
    if refusals:
        refusals += write(client, arn, {METADATA: kept(refusals)})[1]
    elif had:
        refusals += write(client, arn, {"CustomerMetadataPropertiesToRemove": [WARNINGS]})[1]
    return written, refusals


def kept(refusals: list[Refusal]) -> dict[str, str]:
    """What metadata say of refusals; nothing where there are none."""
    return {WARNINGS: registry_text("  ".join(one.short for one in refusals))} if refusals else {}
