"""The simple thing beside attention: logistic regression on the mean of a patient's tile features."""

from __future__ import annotations

from typing import Final

import numpy as np

from pathology.tasks.msi.dataset import Bags, mean_of_tiles
from pathology.training.baseline import BaselineKind, FittedBaseline, fit_baseline

KIND: Final = BaselineKind(
    "mean-of-tiles",
    "Logistic regression on the mean of a patient's tile features",
    "by cross-validation over the same folds as the model",
)


def fit(bags: Bags) -> FittedBaseline:
    """Fit on all patients of ``bags``; penalty and threshold by their folds. One pass over them, a patient's tiles at a time.

    Raises:
        DataError: naming the slide whose file is gone, changed, or by another encoder.
        ValueError: when a fold's rest lacks a class.
    """
    means = np.stack([mean_of_tiles(bags.load(index)) for index in range(len(bags))])
    folds = np.array([patient.fold for patient in bags.patients])
    splits = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in np.unique(folds)]
    return fit_baseline(KIND, means, bags.labels.astype(np.float64), splits, np.arange(len(bags)))
