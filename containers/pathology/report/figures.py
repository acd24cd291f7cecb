"""Figures of a binary evaluation, as SVG."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathology.contracts.binary import CalibrationBin, NetBenefit
from pathology.metrics.ranking import precision_recall_curve, roc_curve
from pathology.report.style import ACCENT, GREY, INK, SECOND, STYLE, data_uri

GRID = np.linspace(0, 1, 101)
BAND_DRAWS = 1000


def _square(xlabel: str, ylabel: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.2, 4.0))
    axes = figure.add_subplot()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=xlabel, ylabel=ylabel, aspect="equal")
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    return figure, axes


def roc_band(
    truth: np.ndarray, score: np.ndarray, confidence: float, seed: int, draws: int = BAND_DRAWS
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper true positive rate at each false positive rate of :data:`GRID`, each (101,): a pointwise bootstrap band
    over patients, drawn within each class (Fawcett 2006, vertical averaging)."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(truth == value) for value in (0, 1)]
    rates = np.empty((draws, len(GRID)))
    for draw in range(draws):
        chosen = np.concatenate([generator.choice(group, len(group)) for group in groups])
        false_rates, true_rates = roc_curve(truth[chosen], score[chosen])
        # The highest rate reached at or before each grid point; the curve is a staircase.
        rates[draw] = true_rates[np.searchsorted(false_rates, GRID, side="right") - 1]
    low, high = np.quantile(rates, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def roc_figure(truth: np.ndarray, score: np.ndarray, threshold: float, confidence: float, seed: int) -> str:
    """ROC curve with its band and the point where the threshold puts it."""
    with mpl.rc_context(STYLE):
        figure, axes = _square("1 − specificity (false alarms)", "Sensitivity (positives found)")
        low, high = roc_band(truth, score, confidence, seed)
        axes.fill_between(GRID, low, high, color=ACCENT, alpha=0.15, linewidth=0, label=f"{confidence:.0%} band")
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="chance")
        axes.plot(*roc_curve(truth, score), color=ACCENT, linewidth=2, label="model")
        called = score >= threshold
        point = (called[truth == 0].mean(), called[truth == 1].mean())
        axes.plot(*point, "o", color=SECOND, markersize=8, label="threshold", clip_on=False, zorder=5)
        axes.legend(loc="lower right")
        return data_uri(figure)


def precision_recall_figure(truth: np.ndarray, score: np.ndarray, threshold: float) -> str:
    """Precision over recall, with the prevalence as the level of chance."""
    with mpl.rc_context(STYLE):
        figure, axes = _square("Recall (positives found)", "Precision (calls that are right)")
        precisions, recalls = precision_recall_curve(truth, score)
        axes.axhline(truth.mean(), color=GREY, linestyle="--", linewidth=1, label=f"chance ({truth.mean():.0%})")
        axes.step(recalls, precisions, where="post", color=ACCENT, linewidth=2, label="model")
        called = score >= threshold
        if called.any():
            point = (called[truth == 1].mean(), truth[called].mean())
            axes.plot(*point, "o", color=SECOND, markersize=8, label="threshold", clip_on=False, zorder=5)
        axes.legend(loc="lower left")
        return data_uri(figure)


def calibration_figure(bins: list[CalibrationBin]) -> str:
    """Observed fraction over mean prediction, with Wilson intervals; on the diagonal a probability means what it says."""
    with mpl.rc_context(STYLE):
        figure, axes = _square("Mean predicted probability", "Observed fraction of positives")
        x = np.array([item.mean_probability for item in bins])
        y = np.array([item.observed.value for item in bins])
        errors = np.array(
            [[item.observed.value - item.observed.low, item.observed.high - item.observed.value] for item in bins]
        ).T
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfect")
        axes.errorbar(x, y, yerr=np.maximum(errors, 0), color=ACCENT, marker="o", capsize=3, linewidth=1.5, label="model")
        axes.legend(loc="upper left")
        return data_uri(figure)


def of_interest(curve: list[NetBenefit], prevalence: float) -> list[NetBenefit]:
    """The low end of ``curve``, two thresholds at least, up to where acting on everybody costs half of what all positives are worth.

    Beyond that its line falls out of the picture, and nobody who looks for positives waits for so high a probability.
    """
    return [point for number, point in enumerate(curve) if number < 2 or point.everybody > -prevalence / 2]


def decision_figure(curve: list[NetBenefit], prevalence: float, units: str) -> str:
    """Net benefit per 100 ``units`` by threshold, ``prevalence`` the fraction of positives: the model with its band, everybody, nobody."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 4.0))
        axes = figure.add_subplot()
        shown = of_interest(curve, prevalence)
        x = np.array([100 * point.threshold for point in shown])
        low, model, high = (np.array([100 * getattr(point.model, name) for point in shown]) for name in ("low", "value", "high"))
        everybody = np.array([100 * point.everybody for point in shown])
        axes.fill_between(x, low, high, color=ACCENT, alpha=0.15, linewidth=0)
        axes.axhline(0, color=INK, linewidth=1, label="act on nobody")
        axes.plot(x, everybody, color=GREY, linestyle="--", linewidth=1.5, label="act on everybody")
        axes.plot(x, model, color=ACCENT, linewidth=2, label="model")
        axes.set(
            xlim=(0, x[-1]), xlabel="Acting from this probability on, in %", ylabel=f"Net benefit, positives per 100 {units}"
        )
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        axes.legend(loc="best")
        return data_uri(figure)


WIDE, NARROW = (8.6, 2.3), (4.2, 2.6)
"""Inches: of a figure as wide as the page, and of the same on a narrow screen, where the wide one's words would be too small."""


def distribution_figure(
    truth: np.ndarray,
    score: np.ndarray,
    threshold: float,
    labels: tuple[str, str],
    seed: int,
    size: tuple[float, float] = WIDE,
) -> str:
    """Every patient as a dot: probability by true class, the threshold as a line; of ``size`` in inches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size)
        axes = figure.add_subplot()
        generator = np.random.default_rng(seed)
        for value, colour in ((0, GREY), (1, ACCENT)):
            scores = score[truth == value]
            height = value + generator.uniform(-0.22, 0.22, len(scores))
            axes.scatter(scores, height, s=26, color=colour, alpha=0.8, edgecolor="white", linewidth=0.6)
        axes.axvline(threshold, color=SECOND, linewidth=1.5)
        axes.annotate("threshold", (threshold, 1.45), (4, 0), textcoords="offset points", color=SECOND, fontsize=9, va="center")
        axes.set(ylim=(-0.5, 1.6), xlim=(-0.02, 1.02), yticks=[0, 1], yticklabels=labels, xlabel="Predicted probability")
        axes.grid(visible=True, axis="x")
        axes.set_axisbelow(True)
        return data_uri(figure)
