"""The report's section on what a simple model reaches on the same test items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pathology.contracts.evaluation import Baseline, Bounds


@dataclass(frozen=True)
class BesideBaseline:
    """One measure of both."""

    title: str
    model: Bounds
    baseline: Bounds


def beside(baseline: Baseline | None, model: Mapping[str, Bounds], titles: Mapping[str, str]) -> list[BesideBaseline]:
    """The baseline's measures beside the model's, in its order; none without one."""
    if baseline is None:
        return []
    return [BesideBaseline(titles[name], model[name], bounds) for name, bounds in baseline.intervals.items()]


def baseline_verdict(baseline: Baseline | None, model: Mapping[str, Bounds], titles: Mapping[str, str], confidence: float) -> str:
    """One sentence on where the model's interval lies against the baseline's value; empty without a baseline."""
    if baseline is None:
        return ""
    value = f"{titles[baseline.measure]} of {baseline.intervals[baseline.measure].value:.3f}"
    bounds = model[baseline.measure]
    where = f"The model's {confidence:.0%} interval, {bounds.low:.3f} to {bounds.high:.3f},"
    match baseline.standing:
        case "higher":
            return f"{where} lies above the baseline's {value}."
        case "lower":
            return f"{where} lies below the baseline's {value}: the simple model did better here."
        case "within":
            return f"{where} holds the baseline's {value}, so that it does not show that the model does better than something simple."
