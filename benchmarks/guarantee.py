"""How often the promised operating point finds fewer of all positives than it promised, and what specificity that leaves.

A training: ``positives`` and five times as many others in five folds, each scored by the model of its fold; the test score is the mean
logit of the five, all on the scale that TrainMsi makes of the models' scores of the patients that they share. A model's logit is scale ·
(signal + noise) + offset: noise of its own for every patient with a standard deviation of half the signal's, scales log-normal with
0.15, offsets normal with 0.25. Signals are normal, heavy-tailed or skewed, positives shifted to an AUROC of 0.88. The true sensitivity is
the ensemble's, on 20,000 other positives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pathology.contracts.operating_points import OperatingSettings
from pathology.metrics.operating_points import choose
from pathology.tasks.msi.calibration import SharedScale
from scipy.special import expit, logit

FOLDS = 5
NOISE = 0.5
SCALES = 0.15
OFFSETS = 0.25
SHAPES = ("normal", "heavy", "skewed")
SHIFTS = {"normal": 1.66, "heavy": 2.25, "skewed": 1.43}
"""Of positives, for a signal's AUROC of 0.88."""
OTHERS = 5
POPULATION = 20_000


@dataclass(frozen=True)
class Trainings:
    """Of one shape and size: the share that missed the promise, and the mean specificity over that of the best threshold."""

    missed: float
    specificity_kept: float


def _signal(shape: str, generator: np.random.Generator, count: int) -> np.ndarray:
    match shape:
        case "normal":
            return np.asarray(generator.normal(size=count))
        case "heavy":
            return np.asarray(generator.standard_t(3, size=count))
        case _:
            return np.asarray(generator.exponential(size=count))


def simulate(shape: str, positives: int, sensitivity: float, trainings: int, seed: int = 0) -> Trainings:
    """So many ``trainings`` that promise ``sensitivity`` with confidence 0.95."""
    generator = np.random.default_rng([seed, positives, SHAPES.index(shape)])
    settings = OperatingSettings(sensitivity=sensitivity)
    truth = np.repeat([0, 1], [OTHERS * positives, positives])
    everyone = np.repeat([0, 1], POPULATION)
    population = _signal(shape, generator, len(everyone)) + SHIFTS[shape] * everyone
    population_noise = generator.normal(size=len(everyone))
    lowest = int(np.ceil(POPULATION * (1 - sensitivity) - 1e-9))
    missed, kept = [], []
    for _ in range(trainings):
        scales, offsets = np.exp(generator.normal(0, SCALES, FOLDS)), generator.normal(0, OFFSETS, FOLDS)
        fold = generator.integers(0, FOLDS, len(truth))
        signal = _signal(shape, generator, len(truth)) + SHIFTS[shape] * truth
        logits = scales * (signal[:, None] + generator.normal(0, NOISE, (len(truth), FOLDS))) + offsets
        held_out = logits[np.arange(len(truth)), fold]
        logits[np.arange(len(truth)), fold] = np.nan
        shared = SharedScale.of(logits)
        threshold = logit(choose(truth, expit(shared.align(held_out, fold)), settings)[-1].threshold)
        gains = scales / shared.scales
        level = float(np.mean((offsets - shared.levels - shared.centre) / shared.scales)) + shared.centre
        noise = NOISE * float(np.sqrt((gains**2).sum())) / FOLDS
        ensemble = gains.mean() * population + noise * population_noise + level
        negative, positive = ensemble[:POPULATION], ensemble[POPULATION:]
        missed.append(np.mean(positive >= threshold) < sensitivity)
        best = np.partition(positive, lowest)[lowest]
        kept.append(np.mean(negative < threshold) / np.mean(negative < best))
    return Trainings(float(np.mean(missed)), float(np.mean(kept)))


def guarantee(shape: str, trainings: int) -> dict[str, Trainings]:
    """Of one shape, 0.90 promised with 45 positives and 0.95 with 75, by ``90_45`` and ``95_75``."""
    return {
        f"{wanted * 100:.0f}_{count}": simulate(shape, count, wanted, trainings) for count, wanted in ((45, 0.90), (75, 0.95))
    }


def worst(found: Sequence[dict[str, Trainings]]) -> dict[str, float]:
    """The figures of ``python -m benchmarks.coverage``: over the shapes, the most that missed and the least specificity."""
    figures: dict[str, float] = {}
    for name in found[0]:
        figures[f"sensitivity_missed_{name}"] = max(each[name].missed for each in found)
        figures[f"specificity_kept_{name}"] = min(each[name].specificity_kept for each in found)
    return figures
