"""The frame of a batch's page: one HTML file that needs nothing from outside, filled from a template that extends batch.html.j2."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pathology.report.tables import labelled

ROOM = Path(__file__).parent


def batch_page(template: Path, context: Mapping[str, Any]) -> str:
    """Fill the file ``template``, which extends batch.html.j2; that reads ``warnings``.

    The page lets nothing run but its own script, by hash, and loads nothing (Content-Security-Policy).
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, ROOM]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["count"] = lambda value: "–" if value is None else f"{value:,}"
    style, script = ((ROOM / name).read_text() for name in ("report.css", "sorting.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    frame = {"style": style, "script": script, "script_sha256": digest}
    return labelled(environment.get_template(template.name).render({**frame, **context}))
