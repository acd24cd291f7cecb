"""The frame of every report: one HTML file that needs nothing from outside, filled from a template that extends base.html.j2."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pathology.contracts.evaluation import Bounds, Comparison, Estimate
from pathology.report.origin import origin
from pathology.report.tables import labelled


@dataclass(frozen=True)
class Mark:
    """A position on the headline's scale from 0 to 1, and its label."""

    at: float
    words: str


@dataclass(frozen=True)
class Headline:
    """The number that a reader takes along, between 0 and 1, with a sentence on it."""

    title: str
    bounds: Estimate
    verdict: str
    marks: tuple[Mark, ...] = ()


def page(template: Path, context: Mapping[str, Any]) -> str:
    """Fill the file ``template``, which extends base.html.j2; that reads ``block``, ``headline``, ``measures`` and ``units``.

    The page lets nothing run but its own script, by hash, and loads nothing (Content-Security-Policy).
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{value:.0%}"
    environment.filters["share"] = share
    environment.filters["number"] = _number
    environment.filters["standing"] = _standing
    environment.filters["interval"] = interval
    environment.filters["certainty"] = certainty
    style, script = ((Path(__file__).parent / name).read_text() for name in ("report.css", "sorting.js"))
    frame = {"style": style, "script": script, "script_sha256": _base64(hashlib.sha256(script.encode()).digest())}
    return labelled(environment.get_template(template.name).render({**frame, **origin(context["block"]), **context}))


STANDINGS = {"higher": "higher", "lower": "lower", "within": "not told apart"}


def _standing(row: Comparison[Any]) -> str:
    """Where ours lies against a published number, or why nothing is said of it."""
    return STANDINGS[row.standing] if row.standing else f"not comparable: {row.incomparable}"


def interval(measured: Estimate) -> str:
    """The bounds; where there is no interval, that there is none."""
    if isinstance(measured, Bounds):
        return f"{measured.low:.3f} – {measured.high:.3f}"
    return "none"


def certainty(measured: Estimate, confidence: float, units: str) -> str:
    """A sentence on how sure the number is; ``units`` are what was drawn or left out, in the plural."""
    if isinstance(measured, Bounds):
        return f"{confidence:.0%} interval {measured.low:.3f} to {measured.high:.3f}."
    return (
        f"No confidence interval: {measured.clusters} {units} are too few. As each of them is left out in turn, the value is "
        f"{measured.lowest:.3f} to {measured.highest:.3f}."
    )


def share(fraction: float | None) -> str:
    """A fraction in percent, with a decimal where it has one; – where there is none."""
    return "–" if fraction is None else f"{100 * fraction:.1f}".removesuffix(".0") + "%"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def png_uri(pixels: np.ndarray) -> str:
    """Pixels (H, W, 3) uint8 RGB as a PNG in a ``data:`` URI: encoded again, so that no metadata of the file travels along."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=False, compress_level=9)
    return "data:image/png;base64," + _base64(buffer.getvalue())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
