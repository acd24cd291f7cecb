"""How figures look, and how they become part of a page: no window, no font file, no date, the same bytes for the same numbers."""

from __future__ import annotations

import base64
import io
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

mpl.use("agg")

ACCENT, SECOND, GREY, INK = "#0b7285", "#c2410c", "#94a3b8", "#1e293b"
STYLE: Any = {
    "svg.hashsalt": "pathology",
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e2e8f0",
    "legend.frameon": False,
}


def data_uri(figure: Figure) -> str:
    """The figure as an SVG ``data:`` URI, so that the page needs nothing from outside."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
