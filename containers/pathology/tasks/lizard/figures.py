"""Figures of nuclei: counts against counts as SVG, and outlines as paths over a patch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathology.geojson import Colour
from pathology.nuclei.classes import instance_classes
from pathology.nuclei.outlines import Ring, polygons
from pathology.nuclei.palette import class_colours
from pathology.report.style import ACCENT, GREY, INK, STYLE, data_uri

PANEL = 3.0
"""Inches: a panel's side."""


def hexadecimal(colour: Colour) -> str:
    """As CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


@dataclass(frozen=True)
class Outlines:
    """Nuclei of one colour as an SVG path in px; ``dashed`` are those without a counterpart on the other side."""

    colour: str
    dashed: bool
    path: str


def outlines(labels: np.ndarray, classes: int, unmatched: np.ndarray) -> list[Outlines]:
    """The nuclei of ``labels`` (H, W, 2) by class, those with an id in ``unmatched`` dashed, as paths along the edges of px."""
    ids, kinds = instance_classes(labels, classes)
    alone = np.isin(ids, unmatched)
    pieces = polygons(labels[..., 0])
    groups = []
    for number, colour in enumerate(class_colours(classes), 1):
        for dashed in (False, True):
            members = ids[(kinds == number) & (alone == dashed)].tolist()
            rings = [ring for each in members for piece in pieces[each] for ring in piece]
            if rings:
                groups.append(Outlines(hexadecimal(colour), dashed, "".join(map(_path, rings))))
    return groups


def _path(ring: Ring) -> str:
    """Steps along x and y in turn, each relative to the last, which is short."""
    steps = [f"h{later[0] - x}" if later[0] != x else f"v{later[1] - y}" for (x, y), later in pairwise(ring)]
    return f"M{ring[0][0]} {ring[0][1]}{''.join(steps[:-1])}z"


def counts_figure(name: str, true: np.ndarray, predicted: np.ndarray, r2: float | None) -> str:
    """Counts of the class ``name`` in each patch, (patches,) true and predicted: a dot for the patches that have the same two counts.

    On the diagonal a patch is counted right; a larger dot is more patches. ``r2`` stands in the title. A figure a class, so that a
    narrow page shows them one below the other.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PANEL, 1.1 * PANEL), layout="constrained")
        axes = figure.add_subplot()
        _counts(axes, true, predicted)
        axes.set_title(name if r2 is None else f"{name}, R² {r2:.2f}", color=INK)
        axes.set(xlabel="in the truth", ylabel="found by the model")
        return data_uri(figure)


def _counts(axes: Axes, true: np.ndarray, predicted: np.ndarray) -> None:
    pairs, patches = np.unique(np.stack([true, predicted], axis=1), axis=0, return_counts=True)
    end = float(pairs.max(initial=1)) * 1.06 + 0.5
    axes.plot([0, end], [0, end], color=GREY, linestyle="--", linewidth=1)
    for number in np.unique(patches):  # dots of one size are drawn once in the SVG and placed many times
        dots = pairs[patches == number]
        axes.scatter(dots[:, 0], dots[:, 1], s=24 * np.sqrt(number), color=ACCENT, alpha=0.55, linewidth=0)
    axes.set(xlim=(-0.04 * end, end), ylim=(-0.04 * end, end), aspect="equal")
    axes.locator_params(nbins=5, integer=True)
    axes.grid(visible=True)
    axes.set_axisbelow(True)
