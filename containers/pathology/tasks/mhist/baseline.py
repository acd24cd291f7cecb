"""The simple thing beside an encoder: logistic regression on the colours of a patch, without where they are."""

from __future__ import annotations

from typing import Final

import numpy as np

from pathology.patches.dataset import Patches
from pathology.training.baseline import BaselineKind, FittedBaseline, fit_baseline

LEVELS = 8
"""Of each of red, green and blue."""
KIND: Final = BaselineKind(
    f"rgb-histogram-{LEVELS}",
    f"Logistic regression on the colour histogram of a patch ({LEVELS} levels each of red, green and blue)",
    "on the validation patches",
)


def colour_histogram(pixels: np.ndarray) -> np.ndarray:
    """``pixels`` (H, W, 3) uint8 → (512,) float64: the square root of the fraction of pixels of each colour.

    With the root, Euclidean distances are Hellinger's, which rare colours do not drown in (Arandjelović & Zisserman 2012).
    """
    red, green, blue = (pixels.reshape(-1, 3) // (256 // LEVELS)).astype(np.int64).T
    counts = np.bincount((red * LEVELS + green) * LEVELS + blue, minlength=LEVELS**3)
    return np.asarray(np.sqrt(counts / counts.sum()))


def histograms(patches: Patches) -> np.ndarray:
    """Of each of ``patches``, read one by one: (n, 512).

    Raises:
        DataError: naming the patch that cannot be read.
    """
    return np.stack([colour_histogram(patches[index]) for index in range(len(patches))])


def fit(train: Patches, targets: np.ndarray, validation: Patches, validation_targets: np.ndarray) -> FittedBaseline:
    """Fit on ``train`` and its ``targets`` (n,) in 0 to 1, those that the model learns; penalty and threshold by ``validation``.

    Raises:
        DataError: naming the patch that cannot be read.
    """
    features = np.concatenate([histograms(train), histograms(validation)])
    learnt, held = np.split(np.arange(len(features)), [len(train)])
    return fit_baseline(KIND, features, np.concatenate([targets, validation_targets]), [(learnt, held)], learnt)
