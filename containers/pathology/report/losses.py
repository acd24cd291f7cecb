"""Losses by epoch, as SVG. Apart from the other figures, which are of binary classifiers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pathology.contracts.history import LossCurve
from pathology.report.style import ACCENT, SECOND, STYLE, data_uri

COLOURS = (ACCENT, SECOND, "#4d7c0f", "#7e22ce", "#1d4ed8", "#be185d", "#475569", "#854d0e")
"""Of trainings; the ninth has the first one's again."""


def losses_figure(curves: Sequence[LossCurve], side: Literal["training", "validation"]) -> str:
    """The loss of one ``side`` by epoch, a colour a training; a dot is the epoch whose weights were kept."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.4, 3.3), layout="constrained")
        axes = figure.add_subplot()
        for number, curve in enumerate(curves):
            losses = np.array([np.nan if loss is None else loss for loss in getattr(curve, side)])
            colour, epochs = COLOURS[number % len(COLOURS)], np.arange(1, len(losses) + 1)
            axes.plot(epochs, losses, color=colour, linewidth=1.6, marker=".", markersize=4, label=curve.name or None)
            axes.plot(curve.best, losses[curve.best - 1], "o", color=colour, markersize=7, markeredgecolor="white", zorder=5)
        axes.set(xlabel="Epoch", ylabel=f"{side.capitalize()} loss")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        if any(curve.name for curve in curves):
            figure.legend(loc="outside lower center", ncols=3, fontsize=9, handlelength=1.2, columnspacing=1.0)
        return data_uri(figure)
