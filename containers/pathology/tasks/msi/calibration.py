"""One scale for the ensemble and the folds' models: the probability of the positive class, from their logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pathology.metrics.calibration import fitted_intercept, platt
from pathology.tasks.msi.artefact import Calibration, on_shared_scale
from pathology.tasks.msi.dataset import Bags
from pathology.tasks.msi.model import GatedAttention

LEAST_SLOPE = 0.05
"""Of a calibration. Below it the out-of-fold logits tell nothing, or the classes the wrong way round, and the order would be lost."""

MOST_AVERAGING = 2.0
"""More than two thirds of what logits vary within a class would be the models' own; estimates from few patients can say so."""

LEAST_SCALE = 0.2
"""Of a model beside the others; one that hardly varies with the patient has no scale to be divided by."""


ROUNDS, CLOSE = 100, 1e-9
"""Of alternating means at most, and the step of a logit after which they end; each leaves about 1 / (K − 1)² of the error."""


@dataclass(frozen=True)
class SharedScale:
    """Where every model's logits lie beside the others': ``levels`` (K,), their mean 0, ``scales`` (K,), their mean 1, about ``centre``.

    ``between_models`` is what the logits of one patient still vary after that, between models that have learnt from him.
    """

    levels: np.ndarray
    scales: np.ndarray
    centre: float
    between_models: float

    @classmethod
    def of(cls, logits: np.ndarray) -> SharedScale:
        """From ``logits`` (n, K) of training patients by every model that has learnt from them, NaN by the one that has not.

        Levels by least squares with an effect of every patient, scales by each model's slope on those effects. No label is used. Two
        models have no patient in common: they are left as they are.
        """
        models = logits.shape[1]
        levels, scales = np.zeros(models), np.ones(models)
        if models < 3:
            return cls(levels, scales, float(np.nanmean(logits)), 0.0)
        for _ in range(ROUNDS):
            before, patients = levels, np.nanmean(logits - levels, axis=1)
            levels = np.nanmean(logits - patients[:, None], axis=0)
            levels -= levels.mean()
            if np.abs(levels - before).max() < CLOSE:
                break
        patients = np.nanmean(logits - levels, axis=1)
        known = ~np.isnan(logits)
        centred = patients - patients.mean()
        slopes = [
            float(centred[seen] @ of_model[seen] / (centred[seen] @ centred[seen]))
            for seen, of_model in zip(known.T, logits.T, strict=True)
        ]
        if np.isfinite(slopes).all() and min(slopes) > LEAST_SCALE * np.mean(slopes):
            scales = np.array(slopes) / np.mean(slopes)
        unfinished = cls(levels, scales, float(patients.mean()), 0.0)
        aligned = unfinished.align(logits)
        return cls(levels, scales, unfinished.centre, float(np.nanmean(np.nanvar(aligned, axis=1, ddof=1))))

    def align(self, logits: np.ndarray, models: np.ndarray | slice = slice(None)) -> np.ndarray:
        """``logits`` (…, K) of all models, or (n,) of ``models`` (n,), on the shared scale."""
        return on_shared_scale(logits, self.levels[models], self.scales[models], self.centre)


def logits_of_learnt(bags: Bags, models: Sequence[GatedAttention], folds: np.ndarray) -> np.ndarray:
    """Logits (n, K) of the bags' patients by the ``models`` of the K sorted ``folds`` (n,), NaN by the one that has not learnt from him."""
    numbers = np.unique(folds)
    logits = np.full((len(bags), len(models)), np.nan)
    for index, fold in enumerate(folds):
        tiles = torch.from_numpy(bags.load(index))
        for number, model in enumerate(models):
            if numbers[number] != fold:
                logits[index, number] = model.logit(tiles)
    return logits


def calibrate(labels: np.ndarray, held_out: np.ndarray, folds: np.ndarray, learnt: np.ndarray) -> tuple[Calibration, np.ndarray]:
    """What makes probabilities of an ensemble's logits, and those (n,) of the training patients, each by the model that has not learnt
    from him: ``labels`` (n,), their ``held_out`` logits (n,), their ``folds`` (n,), and ``learnt`` of :func:`logits_of_learnt`.

    Platt's scaling of the held-out logits on the shared scale is right for one model alone. Its logits vary within a class by what the
    models share and by what is each one's own; of the latter the mean of K models has a K-th. Where logits are normal with one variance in
    both classes, the slope of the probability is the distance of the classes over that variance, so that the mean's is larger by the
    ratio of the two variances; the intercept moves so that the point where both classes are equally likely stays (as in linear
    discriminant analysis). What the models vary on patients of their own learning stands for what they vary on others: docs/statistics.md.

    Raises:
        ValueError: when a class is absent.
    """
    shared, models = SharedScale.of(learnt), learnt.shape[1]
    aligned = shared.align(held_out, np.searchsorted(np.unique(folds), folds))
    slope, intercept = platt(labels, aligned)
    averaging, floored = 1.0, slope < LEAST_SLOPE
    if floored:
        slope, intercept = LEAST_SLOPE, fitted_intercept(labels, LEAST_SLOPE * aligned)
    else:
        averaging = _averaging(labels, aligned, shared.between_models, models)
        odds = float(np.log(labels.sum() / (len(labels) - labels.sum())))
        slope, intercept = slope * averaging, odds + averaging * (intercept - odds)
    calibration = Calibration(
        levels=tuple(shared.levels.tolist()),
        scales=tuple(shared.scales.tolist()),
        centre=shared.centre,
        slope=slope,
        intercept=intercept,
        averaging=averaging,
        floored=floored,
    )
    return calibration, calibration.probabilities(aligned)


def _averaging(labels: np.ndarray, logits: np.ndarray, between_models: float, models: int) -> float:
    groups = [logits[labels == label] for label in (0, 1)]
    within = float(np.mean([group.var(ddof=1) for group in groups if len(group) > 1] or [0.0]))
    own = between_models * (1 - 1 / models)
    return min(within / (within - own), MOST_AVERAGING) if within > own else MOST_AVERAGING if own else 1.0
