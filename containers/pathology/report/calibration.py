"""What calibration slope and intercept say, a plain sentence each, with why one is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pathology.contracts.evaluation import Bounds


@dataclass(frozen=True)
class CalibrationRow:
    """A measure of calibration, null where this test gives none, and a sentence on it."""

    title: str
    bounds: Bounds | None
    words: str


def calibration_rows(intervals: Mapping[str, Bounds], units: str, varied: bool) -> list[CalibrationRow]:
    """Slope, intercept and Brier score; ``varied`` is whether the ``units`` have different probabilities at all."""
    slope, intercept = intervals.get("calibration_slope"), intervals.get("calibration_intercept")
    return [
        CalibrationRow("Slope", slope, slope_words(slope, units, varied)),
        CalibrationRow("Intercept", intercept, intercept_words(intercept, units)),
        CalibrationRow("Brier score", intervals["brier"], "Mean squared distance of probability and truth; 0 is perfect."),
    ]


def slope_words(slope: Bounds | None, units: str, varied: bool) -> str:
    """Whether probabilities are as far from the middle as they may be."""
    if slope is None:
        if not varied:
            return f"No slope: all {units} have the same probability."
        return "No slope: the probabilities set the classes of this test apart, or nearly, so that no slope would be too steep."
    if slope.high < 0:
        return "The wrong way round: the higher the probability, the rarer the positives."
    if slope.low > 1:
        return "Not sure enough: above 1, probabilities lie nearer to the middle than they may."
    if slope.high < 1:
        return "Too sure: below 1, probabilities lie nearer to 0 % and 100 % than they may."
    return "As sure as they may be, within what this test can tell: the interval holds 1."


def intercept_words(intercept: Bounds | None, units: str) -> str:
    """Whether probabilities are right on average."""
    if intercept is None:
        return "No intercept: some probabilities were so sure, and wrong, that no constant would be too large."
    if intercept.low > 0:
        return f"Too low on average: above 0, more {units} are positive than the probabilities add up to."
    if intercept.high < 0:
        return f"Too high on average: below 0, fewer {units} are positive than the probabilities add up to."
    return "Right on average, within what this test can tell: the interval holds 0."
