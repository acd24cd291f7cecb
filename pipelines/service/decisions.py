"""Approving and rejecting model versions: what a version remembers of it, and what keeps it from being approved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.refusals import is_conflict, is_missing
from pathology.contracts.registry import registry_text

from pipelines.service.caller import caller
from steps.shapes import Answer

if TYPE_CHECKING:
    from pipelines.service.session import Session
    from pipelines.service.version import Version

PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
STAGE = "Review"
"""Of a version's life cycle, the stage that a person's decision ends."""
DECISION, BY, AT, ACCEPTED = "decision", "decided_by", "decided_at", "accepted_warnings"
"""Keys of a version's metadata."""
MAX_NOTE = 1024
_TRIES = 5
PLACEHOLDER, PERMUTED, UNKNOWN = "placeholder-encoder", "permuted-labels", "no-evaluation"
_PLACEHOLDER_ORIGIN = "placeholder"


@dataclass(frozen=True)
class Decision:
    """Who decided on a version, when and why. ``by`` and ``at`` are the service's own where it was not by ``approve`` or ``reject``, and
    None where the service does not say; ``accepted`` are the warnings that were."""

    status: str
    by: str | None
    at: str | None
    note: str | None
    accepted: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def decision(described: Answer) -> Decision | None:
    """The decision that stands. What the metadata say of it holds for the status that they name: one that was set elsewhere since, as
    in Studio, is that of whoever changed the version last."""
    status = described.get("ModelApprovalStatus")
    if status not in (APPROVED, REJECTED):
        return None
    metadata = described.get("CustomerMetadataProperties") or {}
    note = described.get("ApprovalDescription") or None
    if metadata.get(DECISION) == status:
        accepted = tuple(metadata.get(ACCEPTED, "").split())
        return Decision(status, metadata.get(BY), metadata.get(AT), note, accepted)
    who, when = described.get("LastModifiedBy") or {}, described.get("LastModifiedTime")
    name = who.get("IamIdentity", {}).get("Arn") or who.get("UserProfileName")
    return Decision(status, name, when.isoformat(timespec="seconds") if when else None, note, ())


def forbidding(version: Version) -> dict[str, str]:
    """Warnings that forbid the use of a version, by the name to accept them by, and what each says."""
    if version.evaluation is None:
        return {UNKNOWN: f"what its evaluation warned of cannot be read ({version.trouble})"}
    encoder = version.block.get("encoder", {})
    origin = str(version.metadata.get("encoder_origin", ""))
    settings: Mapping[str, str] = version.block.get("model", {}).get("training", {}).get("settings", {})
    found = {}
    if encoder.get("placeholder") or origin.startswith(_PLACEHOLDER_ORIGIN):
        found[PLACEHOLDER] = f"its encoder {version.metadata.get('encoder', '')} is a placeholder with seeded weights"
    if settings.get("shuffle-labels") == "true":
        found[PERMUTED] = "it was trained on permuted labels, as a negative control"
    return found


def check_note(note: str) -> str:
    """The note, without blanks around it.

    Raises:
        RequestError: for one that says nothing, or more than the registry takes.
    """
    text = note.strip()
    if not text:
        raise RequestError("--note is empty: say why, for whoever reads it in a year")
    if len(text) > MAX_NOTE:
        raise RequestError(f"--note has {len(text)} characters, and the registry takes {MAX_NOTE}")
    if not text.isprintable():
        raise RequestError("--note has line breaks or control characters, and the registry takes one line")
    return text


def check_warnings(version: Version, accepted: Sequence[str]) -> None:
    """Refuse to approve what a warning forbids, unless that was accepted by name.

    Raises:
        RequestError: naming what was not accepted, or what was accepted and the version does not warn of.
    """
    found = forbidding(version)
    strange = [name for name in accepted if name not in found]
    if strange:
        has = f"it has {', '.join(found)}" if found else "it has none"
        raise RequestError(f"version {version.number} has no warning {strange[0]!r} to accept: {has}")
    left = {name: words for name, words in found.items() if name not in accepted}
    if left:
        words = "; ".join(f"{what} (--accept-warning {name})" for name, what in left.items())
        raise RequestError(f"version {version.number} must not be used: {words}: accept by name what you mean to accept")


def decide(session: Session, version: Version, status: str, note: str, accepted: Sequence[str] = ()) -> Decision:
    """Approve or reject a version; the decision as it stands afterwards.

    Raises:
        RequestError: when somebody else decided meanwhile, or the version is gone.
        DataError: when what stands afterwards is another decision than this one.
    """
    before = _standing(version.described)
    metadata = {
        DECISION: status,
        BY: registry_text(caller(session)),
        AT: datetime.now(UTC).isoformat(timespec="seconds"),
        **({ACCEPTED: registry_text(" ".join(sorted(set(accepted))))} if accepted else {}),
    }
    request = {
        "ModelPackageArn": version.arn,
        "ModelApprovalStatus": status,
        "ApprovalDescription": note,
        "ModelLifeCycle": {"Stage": STAGE, "StageStatus": status, "StageDescription": note},
        "CustomerMetadataProperties": metadata,
        **({"CustomerMetadataPropertiesToRemove": [ACCEPTED]} if not accepted and ACCEPTED in version.metadata else {}),
    }
    _unchanged(
        version, before, _described(session, version)
    )  # a missing card was written since it was read, which takes a moment
    for attempt in range(_TRIES):
        try:
            session.sagemaker.update_model_package(**request)
            break
        except ClientError as error:
            if is_missing(error):
                raise _deleted(version) from None
            if not is_conflict(error) or attempt == _TRIES - 1:
                raise
        _unchanged(version, before, _described(session, version))
    standing = decision(_described(session, version))
    if standing is None or (standing.status, standing.by, standing.at) != (status, metadata[BY], metadata[AT]):
        raise DataError(f"version {version.number} was decided on by somebody else at the same time: {_words(standing)}")
    return standing


def _standing(described: Answer) -> tuple[Any, ...]:
    return described.get("ModelApprovalStatus") or PENDING, decision(described)  # none given is waiting


def _described(session: Session, version: Version) -> Answer:
    try:
        return dict(session.sagemaker.describe_model_package(ModelPackageName=version.arn))
    except ClientError as error:
        if is_missing(error):
            raise _deleted(version) from None
        raise


def _deleted(version: Version) -> RequestError:
    return RequestError(f"version {version.number} was deleted meanwhile")


def _unchanged(version: Version, before: tuple[Any, ...], described: Answer) -> None:
    if _standing(described) != before:
        raise RequestError(
            f"somebody else decided on version {version.number} meanwhile: {_words(decision(described))}: look at it, then decide again"
        )


def _words(standing: Decision | None) -> str:
    return (
        "it waits for approval" if standing is None else f"{standing.status} by {standing.by or 'nobody that the registry names'}"
    )
