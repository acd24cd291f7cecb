"""Model versions as people read them: what the verbs on them print alike."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.scores import bounds, title, titles
from pipelines.tables import short_time

if TYPE_CHECKING:
    from pipelines.service.decisions import Decision
    from pipelines.service.version import Version

_SHORT = {"PendingManualApproval": "Pending"}


def short_status(status: str) -> str:
    """An approval status as a table has room for it."""
    return _SHORT.get(status, status)


class Scored(Protocol):
    """What has an evaluation, or has none."""

    @property
    def evaluation(self) -> dict[str, Any] | None: ...

    @property
    def block(self) -> dict[str, Any]: ...

    @property
    def headline(self) -> tuple[str, dict[str, Any]] | None: ...


def score_heading(found: Iterable[Scored]) -> tuple[str, str]:
    """The heading of the first score and of its interval; of versions whose evaluations cannot be read it is no score by name."""
    for version in found:
        if version.headline:
            level = version.block.get("confidence")
            return title(version.headline[0], titles(version.evaluation or {})), f"{level:.0%}" if level else "Interval"
    return "Score", "Interval"


def score_cells(version: Scored) -> tuple[str, str]:
    """The first score, and its interval or that there is none."""
    if version.headline is None:
        return "", ""
    estimate = version.headline[1]
    return f"{estimate['value']:.3f}", bounds(estimate).partition(";")[0].replace(" to ", "–")


def by(decision: Decision) -> str:
    """Who decided, as a table has room for it: the role and the session of an ARN."""
    return (decision.by or "not recorded").partition("/")[2] or decision.by or "not recorded"


def at(decision: Decision) -> str:
    """When, in the local time zone."""
    return short_time(datetime.fromisoformat(decision.at)) if decision.at else ""


def decided(version: Version, decision: Decision) -> str:
    """The line that says a decision was written."""
    accepted = f", accepting {' and '.join(decision.accepted)}" if decision.accepted else ""
    return f"version {version.number} {decision.status} by {by(decision)}{accepted}: {decision.note}"
