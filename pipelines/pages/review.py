"""The page on all of a task's versions: scores over versions, what stands of each, what was decided and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathology.contracts.uris import Uri

from pipelines.pages.frame import page
from pipelines.service.results import location
from pipelines.service.version import details
from pipelines.tables import short_time
from pipelines.version_tables import at, by, score_cells, score_heading, short_status

if TYPE_CHECKING:
    from pipelines.service.session import Session
    from pipelines.service.version import Version

_MOST_LABELS = 20
"""Numbers below the chart."""


def review_page(session: Session, task: str, found: Sequence[Version]) -> str:
    """The whole page; ``found`` are newest first."""
    measure, level = score_heading(found)
    columns = [
        *(("No.", True), ("Status", False), (measure, True), (level, True), ("Gate", False), ("Encoder", False)),
        *(("Trained on", True), ("Registered", False), ("Decided", False), ("Note", False)),
    ]
    return page(
        "review.html.j2",
        {
            "task": task,
            "environment": session.environment.name,
            "measure": measure,
            "level": level,
            "columns": columns,
            "rows": [_row(version) for version in found],
            "statuses": sorted({short_status(version.status) for version in found}),
            "chart": _chart(list(reversed(found))),
            "versions": [_facts(session, version) for version in found],
        },
        scripts=("filtering.js",),
    )


def _row(version: Version) -> dict[str, Any]:
    decision, trained = version.decision, version.learned_from["n"]
    score, bounds = score_cells(version)
    return {
        "number": version.number,
        "status": short_status(version.status),
        "cells": [
            short_status(version.status),
            score or "–",
            bounds or "–",
            version.metadata.get("gate", "–"),
            version.metadata.get("encoder", "–"),
            "–" if trained is None else trained,
            short_time(version.created)[:10],
            f"{by(decision)}, {at(decision)}" if decision else "–",
            (decision and decision.note) or "–",
        ],
    }


def _facts(session: Session, version: Version) -> dict[str, Any]:
    found = details(session, version)
    return {
        "number": version.number,
        "title": f"version {version.number}, {short_status(version.status)}",
        "arn": version.arn,
        "execution": version.execution or "not recorded",
        "description": version.described.get("ModelPackageDescription", ""),
        "report": found.report,
        "link": Path(found.report).as_uri() if found.report and session.environment.local else None,
        "artefact": location(session, Uri.parse(version.artefact)) if version.artefact else None,
        "warnings": version.block.get("warnings", []),
        "trouble": version.trouble,
    }


def _chart(found: Sequence[Version]) -> dict[str, Any] | None:
    """Scores in the order of versions, in % of the drawing; None without any."""
    scored = [(version, version.headline[1]) for version in found if version.headline]
    if not scored:
        return None
    ends = [value for _, score in scored for value in (score["value"], *(score[key] for key in ("low", "high") if key in score))]
    low, high = math.floor(min(ends) * 10) / 10, math.ceil(max(ends) * 10 - 1e-9) / 10
    span = max(high - low, 0.1)
    every = math.ceil(len(scored) / _MOST_LABELS)

    def y(value: float) -> str:
        return f"{5 + 85 * (1 - (value - low) / span):.2f}"

    return {
        "low": f"{low:.1f}",
        "high": f"{low + span:.1f}",
        "points": [
            {
                "x": f"{8 + 90 * (k + 0.5) / len(scored):.2f}",
                "y": y(score["value"]),
                "top": y(score["high"]) if "high" in score else None,
                "bottom": y(score["low"]) if "low" in score else None,
                "label": version.number if k % every == 0 else "",
                "approved": version.status == "Approved",
                "words": f"version {version.number}, {version.status}: {score['value']:.3f}",
            }
            for k, (version, score) in enumerate(scored)
        ],
    }
