"""What a gate asks for at a cohort's size, said before anything runs: chances that equal models pass, and scores that bounds need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from pathology.contracts.comparison.gate import ROUNDING, ChampionRule
from pathology.contracts.evaluation import Bounds
from pathology.contracts.intervals.binary import hanley_mcneil
from pathology.contracts.intervals.interval import z_of
from pathology.contracts.intervals.paired import Differences, area_differences

PAIRS = 1000
"""Of models; a chance has a standard error of 1.6 points at most."""


def drawn_pairs(
    generator: np.random.Generator, pairs: int, positives: int, negatives: int, areas: tuple[float, float], correlation: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth (n,), negatives first, and normal scores (pairs, n) of two models of those AUROCs, correlated so within each class."""
    truth = np.repeat([0, 1], [negatives, positives])
    noise = generator.normal(size=(2, pairs, len(truth)))
    noise[1] = correlation * noise[0] + np.sqrt(1 - correlation**2) * noise[1]
    first, second = (each + np.sqrt(2) * norm.ppf(area) * truth for each, area in zip(noise, areas, strict=True))
    return truth, first, second


def passing(found: Differences, rule: ChampionRule) -> np.ndarray:
    """Which differences (pairs,) of a candidate and the champion pass ``rule``, as :func:`pathology.contracts.comparison.gate.decide`."""
    if rule.champion == "noninferior":
        return np.asarray(found.low > -rule.noninferiority_margin)
    return np.asarray((found.value >= -rule.max_regression - ROUNDING) & (found.high >= 0))


def chances_equal_model_passes(
    positives: int,
    negatives: int,
    *,
    auroc: float,
    correlation: float,
    rules: Sequence[ChampionRule],
    seed: int = 0,
    pairs: int = PAIRS,
) -> list[float]:
    """How often a candidate passes each of ``rules`` whose true AUROC is the champion's ``auroc``, on so many test items, simulated on
    the same ``pairs``.

    ``correlation`` is that of the two models' scores within a class; seeds of one training are at 0.8 to 0.95. The same seed gives the
    same chances.

    Raises:
        ValueError: for an AUROC or a correlation out of range, or without items of both classes.
    """
    if not 0.5 <= auroc < 1 or not 0 <= correlation < 1:
        raise ValueError(f"an AUROC of 0.5 to 1 and a correlation of 0 to 1, not {auroc} and {correlation}")
    generator = np.random.default_rng(seed)
    found = area_differences(*drawn_pairs(generator, pairs, positives, negatives, (auroc, auroc), correlation))
    return [float(passing(found, rule).mean()) for rule in rules]


def chance_equal_model_passes(
    positives: int, negatives: int, *, auroc: float, correlation: float, rule: ChampionRule, seed: int = 0
) -> float:
    """:func:`chances_equal_model_passes` of one rule."""
    (chance,) = chances_equal_model_passes(positives, negatives, auroc=auroc, correlation=correlation, rules=[rule], seed=seed)
    return chance


def measured_needed(lower_bound: float, positives: int, negatives: int, confidence: float = 0.95) -> float | None:
    """The AUROC whose interval has just ``lower_bound``, on so many test items: by
    :func:`pathology.contracts.intervals.binary.mann_whitney` it is z standard deviations above. None where even 1 has a lower bound below.

    It is that of scores that vary as the interval's model says; those with heavy tails need more.

    Raises:
        ValueError: when a class is absent, or for a bound that is not between 0 and 1.
    """
    if not positives or not negatives or not 0 <= lower_bound < 1:
        raise ValueError(f"a bound from 0 to 1 and items of both classes, not {lower_bound}, {positives} and {negatives}")
    needed = lower_bound + z_of(confidence) * float(np.sqrt(hanley_mcneil(lower_bound, positives, negatives)))
    return needed if needed <= 1 else None


def measured_needed_like(lower_bound: float, like: Bounds) -> float:
    """The score whose interval has just ``lower_bound``, if it is as wide on the logit scale as the one that was seen, ``like``.

    For measures over source images, bPQ say: their width comes from how unlike the source images are, so that it takes an evaluation of
    the same test set to know it.

    Raises:
        ValueError: when a bound or the score is not between 0 and 1.
    """
    if not 0 < lower_bound < 1 or not 0 < like.low <= like.value < 1:
        raise ValueError(f"scores and bounds between 0 and 1, not {lower_bound} and {like.low} of {like.value}")
    return float(expit(logit(lower_bound) + logit(like.value) - logit(like.low)))
