"""The frame of every page: its own style and script, that of reports, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pathology
from jinja2 import Environment, FileSystemLoader, StrictUndefined

_HERE = Path(__file__).parent
_REPORT = Path(pathology.__file__).parent / "report"
"""Where reports have their style and their script; files, of which nothing is imported."""


def page(template: str, context: Mapping[str, Any], scripts: Sequence[str] = ()) -> str:
    """Fill a ``template`` of this package, which extends frame.html.j2; ``scripts`` of this package go with the one that sorts tables.

    The page lets nothing run but its own script, by hash, and loads nothing (Content-Security-Policy).
    """
    style = (_REPORT / "report.css").read_text(encoding="utf-8") + (_HERE / "pages.css").read_text(encoding="utf-8")
    sources = [_REPORT / "sorting.js", *(_HERE / name for name in scripts)]
    script = "".join(source.read_text(encoding="utf-8") for source in sources)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    frame = {"style": style, "script": script, "script_sha256": digest}
    return filled(template, {**frame, **context})


def filled(template: str, context: Mapping[str, Any]) -> str:
    """A template of this package, every value escaped."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(context)
