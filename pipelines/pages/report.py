"""The page of ``report``: the evaluation's report byte for byte, and a block at its top."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pathology.contracts.errors import DataError

from pipelines.pages.frame import filled
from pipelines.service.results import location
from pipelines.tables import short_time
from pipelines.version_tables import at, by

if TYPE_CHECKING:
    from pipelines.service.reporting import Report
    from pipelines.service.session import Session

_BODY, _END = re.compile(rb"<body(?:\s[^>]*)?>"), b"</html>"
Row = tuple[str, list[str], bool]
"""A heading, its lines, and whether they are code."""


def report_page(session: Session, found: Report) -> bytes:
    """The report with the block right behind ``<body>``.

    Raises:
        DataError: when the report is no whole page.
    """
    body = _BODY.search(found.content)
    if body is None or not found.content.rstrip().endswith(_END):
        raise DataError(
            f"{location(session, found.uri)}: is damaged, no whole page: evaluate again, or put back the one that was written"
        )
    block = filled(
        "report.html.j2",
        {
            "heading": found.name[:1].upper() + found.name[1:],
            "rows": [row for row in _rows(session, found) if row[1]],
            "environment": session.environment.name,
            "now": short_time(datetime.now(UTC)),
        },
    )
    return found.content[: body.end()] + b"\n" + block.encode() + found.content[body.end() :]


def _rows(session: Session, found: Report) -> Iterator[Row]:
    version = found.version
    if version:
        stage = f" ({version.stage})" if version.stage else ""
        yield "Version", [version.arn], True
        yield "Status", [f"{version.status}{stage}, registered {short_time(version.created)}"], False
        yield "Decided", [_decided(found)], False
        if version.same_as is not None:
            yield "The same as", [f"version {version.same_as}: the same evaluation of the same artefact"], False
    else:
        yield "Version", ["none: this execution registered none"], False
    status = f", {found.status}" if found.status else ""
    yield "Execution", [f"{found.execution or 'not recorded'}{status}"], False
    yield "Gate", list(found.gate) or ["not recorded"], False
    yield "Warnings", list(found.warnings), False
    yield "Reused by", _reused(found), False
    yield "Git commit", [found.commit or "not known: the pipeline was changed, or deployed without one"], bool(found.commit)
    if version:
        yield "Source", [version.described.get("SourceUri") or "none"], True
    yield "Code", [f"{name}: {value}" for name, value in found.hashes.items() if name.startswith("code of")], True
    yield "Not looked at", [session.in_own_paths(note) for note in found.notes], False


def _decided(found: Report) -> str:
    decision = found.version.decision if found.version else None
    if decision is None:
        return "by nobody yet"
    accepted = f"; accepted all the same: {', '.join(decision.accepted)}" if decision.accepted else ""
    return f"{decision.status} by {by(decision)} {at(decision)}: {decision.note or 'no note'}{accepted}"


def _reused(found: Report) -> list[str]:
    """Lines on later executions."""
    if not found.reused:
        return ["no later execution that was looked at"]
    return [
        f"execution {one.execution} of {short_time(one.started)}, {one.status}"
        + (f", which registered version {one.version}" if one.version is not None else "")
        for one in found.reused
    ]
