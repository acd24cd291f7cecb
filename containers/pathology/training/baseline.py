"""The simple model that every report sets beside the real one: logistic regression on few, plain features of the same items.

It lies in the artefact for evaluations alone; nothing that serves reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from scipy.special import expit

from pathology.artefact import BaselineWeights, ModelConfig, check_tensors, pack_tensors, read_tensors
from pathology.metrics.ranking import youden_threshold
from pathology.training.logistic import cross_entropy, logistic_map

FILE: Final = "baseline.safetensors"
INVERSE_PENALTIES = tuple(10.0**power for power in range(-4, 2))
"""scikit-learn's C. More is no penalty to speak of where there are more features than items, as here."""


@dataclass(frozen=True)
class BaselineKind:
    """What a task's baseline takes, in one word for the artefact; for readers what it is, and how penalty and threshold are chosen."""

    name: str
    words: str
    chosen: str


@dataclass(frozen=True)
class FittedBaseline:
    """A linear map of features to the logit of class 1: ``weight`` (D,) and ``bias``, float64; what it takes is its ``kind``.

    ``items`` were learnt from, ``positives`` of them of class 1. ``inverse_penalty`` and ``threshold`` were chosen on what the model
    that was scored had not learnt from.
    """

    kind: str
    weight: np.ndarray
    bias: float
    inverse_penalty: float
    threshold: float
    items: int
    positives: int

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Of class 1, (n,), from ``features`` (n, D)."""
        return np.asarray(expit(features.astype(np.float64) @ self.weight + self.bias))

    def pack(self) -> tuple[BaselineWeights, bytes]:
        """Its entry in config.json, and its file."""
        tensors = {"weight": torch.from_numpy(self.weight), "bias": torch.tensor(self.bias, dtype=torch.float64)}
        sha256, content = pack_tensors(tensors)
        entry = BaselineWeights(
            file=FILE,
            sha256=sha256,
            kind=self.kind,
            features=len(self.weight),
            inverse_penalty=self.inverse_penalty,
            threshold=self.threshold,
            items=self.items,
            positives=self.positives,
        )
        return entry, content


Splits = Sequence[tuple[np.ndarray, np.ndarray]]
"""Indices of items to learn from and of items to be scored: the folds of a cross-validation, or one validation side."""


def fit_baseline(
    kind: BaselineKind, features: np.ndarray, targets: np.ndarray, splits: Splits, rows: np.ndarray
) -> FittedBaseline:
    """Fit on the items ``rows`` of ``features`` (n, D) and ``targets`` (n,), which are 0 to 1; from 0.5 on an item is positive.

    Of :data:`INVERSE_PENALTIES` that one is taken whose models have the least cross-entropy on the items that the ``splits`` keep from
    them, together; the threshold is Youden's on the same scores.

    Raises:
        ValueError: when what is learnt from, or what is scored, lacks a class.
    """
    scored = np.concatenate([held for _, held in splits])
    best, chosen, out_of_split = np.inf, INVERSE_PENALTIES[0], np.zeros(len(scored))
    for inverse_penalty in INVERSE_PENALTIES:
        maps = [logistic_map(features[learnt], targets[learnt], inverse_penalty) for learnt, _ in splits]
        scores = np.concatenate(
            [
                expit(features[held].astype(np.float64) @ weight + bias)
                for (weight, bias), (_, held) in zip(maps, splits, strict=True)
            ]
        )
        loss = cross_entropy(scores, targets[scored])
        if loss < best:
            best, chosen, out_of_split = loss, inverse_penalty, scores
    weight, bias = logistic_map(features[rows], targets[rows], chosen)
    positive = targets >= 0.5
    threshold = youden_threshold(positive[scored].astype(int), out_of_split)
    return FittedBaseline(kind.name, weight, bias, chosen, threshold, len(rows), int(positive[rows].sum()))


def read_baseline(folder: Path, config: ModelConfig) -> FittedBaseline | None:
    """The baseline of an unpacked artefact; None for one that was packed before there were any.

    Raises:
        DataError: when the file that ``config`` names is gone, changed or misshapen.
    """
    entry = config.baseline
    if entry is None:
        return None
    tensors = read_tensors(folder, entry.file, entry.sha256)
    check_tensors(tensors, {"weight": (entry.features,), "bias": ()}, entry.file)
    known = entry.model_dump(include={"kind", "inverse_penalty", "threshold", "items", "positives"})
    return FittedBaseline(weight=tensors["weight"].double().numpy(), bias=float(tensors["bias"]), **known)
