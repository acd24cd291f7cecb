"""What an interval is, and the names of the methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

WILSON = "Wilson's score interval"
MANN_WHITNEY = "Newcombe's method 5, its variance brought to the scores'"
MEAN_OF_TWO = "Newcombe's square-and-add of two Wilson intervals"
LOGIT = "on the logit scale, by the larger of the binomial and the bootstrap's standard deviation"
WEIGHTED_SUM = "square-and-add of Wilson intervals"
RATIO = "from the ratio of two proportions by Wilson intervals (Donner & Zou)"
LOG = "Student's t on the logarithm"
PROFILE = "profile likelihood"
OVERLAP = "Wilson's score interval of the overlap of called and true"
UNDEFINED = "no method (undefined on this test: the bounds are the whole range)"
"""What reports call the methods."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the bounds of its confidence interval by ``method``, and the standard deviation of its resamples."""

    value: float
    low: float
    high: float
    std: float
    confidence: float = 0.95
    method: str = ""

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.confidence:.0%} interval {self.low:.3f} to {self.high:.3f})"


def z_of(confidence: float) -> float:
    """How many standard deviations a normal interval of that level reaches to either side."""
    return float(norm.ppf((1 + confidence) / 2))


def closed(value: float, low: float, high: float, confidence: float, method: str) -> Interval:
    """An interval in closed form; its standard deviation is what would make a normal one as wide."""
    return Interval(value, low, high, (high - low) / (2 * z_of(confidence)), confidence, method)


def wilson(value: float, trials: int, z: float) -> tuple[float, float]:
    """Wilson's bounds (1927) of a proportion ``value``, of which ``trials`` times it need not be whole."""
    centre = (value + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * float(np.sqrt(value * (1 - value) / trials + z * z / (4 * trials * trials)))
    return max(centre - half, 0.0), min(centre + half, 1.0)
