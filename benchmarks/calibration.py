"""How msi's probabilities and promises hold on patients that nobody has seen, over trainings of TrainMsi's own cross-validation.

Each training has 250 made patients, 45 of them positive, in five folds, and 1,500 others to be held against. A patient is 30 to 90 tiles of
32 normal numbers with an effect of his own (0.6); in a positive one a Beta(2, 5) fraction of the tiles is moved by 7.5 along one direction,
in a negative one a Beta(1, 12) fraction. ``slope`` is the calibration slope of the ensemble's probability, ``slope_uncalibrated`` that of
the mean of the folds' own, ``sensitivity_missed`` how often the promise of 0.90 with confidence 0.95 was not kept.

    python -m benchmarks.calibration [--trainings 6] [--permuted]
"""

from __future__ import annotations

import contextlib
import io
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is imported: the processes below share the cores

import tempfile  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from concurrent.futures import ProcessPoolExecutor  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Annotated, Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
import typer  # noqa: E402
from pathology.contracts.msi.train import TrainMsi  # noqa: E402
from pathology.metrics.calibration import calibration_slope  # noqa: E402
from pathology.metrics.operating_points import choose  # noqa: E402
from pathology.metrics.ranking import auroc  # noqa: E402
from pathology.tasks.msi.calibration import calibrate  # noqa: E402
from pathology.tasks.msi.dataset import Bags  # noqa: E402
from pathology.tasks.msi.training import build, cross_validate  # noqa: E402
from scipy.special import expit  # noqa: E402

from benchmarks.measure import print_figures  # noqa: E402

DIMENSION, FOLDS, PATIENTS, POSITIVES, OTHERS = 32, 5, 250, 45, 1500
OWN, MOVED = 0.6, 7.5
SENSITIVITY = 0.90


@dataclass(frozen=True)
class MadeEncoder:
    """What training asks of an encoder."""

    dimension: int = DIMENSION


@dataclass(frozen=True)
class MadeSlide:
    """What training asks of a slide."""

    tiles: int


@dataclass(frozen=True)
class MadePatient:
    """What training asks of a patient."""

    fold: int
    label: int
    slides: tuple[MadeSlide, ...]


class MadeBags(Bags):
    """Bags that lie in memory."""

    def __init__(self, bags: Sequence[np.ndarray], labels: np.ndarray, folds: np.ndarray) -> None:
        self._bags, self.labels = list(bags), labels
        self.encoder: Any = MadeEncoder()
        self.patients: Any = tuple(
            MadePatient(int(fold), int(label), (MadeSlide(len(bag)),))
            for fold, label, bag in zip(folds, labels, bags, strict=True)
        )

    def load(self, index: int) -> np.ndarray:
        """All tiles of a patient, (N, D) float16."""
        return self._bags[index]


def patients(generator: np.random.Generator, count: int, positives: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Bags and labels (count,)."""
    labels = generator.permutation(np.repeat([0, 1], [count - positives, positives]))
    direction = np.full(DIMENSION, 1 / np.sqrt(DIMENSION))
    bags = []
    for label in labels:
        tiles = generator.normal(size=(int(generator.integers(30, 90)), DIMENSION)) + generator.normal(0, OWN, DIMENSION)
        fraction = generator.beta(2, 5) if label else generator.beta(1, 12)
        tiles[generator.random(len(tiles)) < fraction] += MOVED * direction
        bags.append(tiles.astype(np.float16))
    return bags, labels


def training(seed: int, permuted: bool) -> dict[str, float]:
    """One training's figures."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(seed)
    bags, labels = patients(generator, PATIENTS, POSITIVES)
    others, truth = patients(generator, OTHERS, OTHERS * POSITIVES // PATIENTS)
    if permuted:
        labels = generator.permutation(labels)
    settings = TrainMsi(hidden_size=64, seed=seed, sensitivity=SENSITIVITY)
    folds = generator.integers(0, FOLDS, PATIENTS)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        validated = cross_validate(MadeBags(bags, labels, folds), settings, Path(folder) / "checkpoints", Path(folder))
    calibration, of_training = calibrate(labels, validated.out_of_fold, validated.folds, validated.learnt)
    models = [build(model.weights, settings) for model in validated.models]
    logits = np.array([[model.logit(torch.from_numpy(bag)) for model in models] for bag in others])
    probability = np.array([calibration.probabilities(calibration.align(row).mean()) for row in logits])
    promised = choose(labels, of_training, settings)[-1].threshold
    slopes = (
        {}
        if permuted
        else {
            "slope": calibration_slope(truth, probability),
            "slope_uncalibrated": calibration_slope(truth, expit(logits).mean(axis=1)),
        }
    )
    return {
        "auroc_out_of_fold": auroc(labels, of_training),
        "auroc_of_a_fold": float(np.mean([auroc(truth, column) for column in logits.T])),
        "auroc": auroc(truth, probability),
        **{name: slope.value for name, slope in slopes.items() if slope is not None},
        "sensitivity": float(np.mean(probability[truth == 1] >= promised)),
        "specificity": float(np.mean(probability[truth == 0] < promised)),
    }


def main(
    trainings: Annotated[int, typer.Option(help="How many.")] = 6,
    permuted: Annotated[bool, typer.Option("--permuted", help="Permute the labels that are learnt from.")] = False,
) -> None:
    """Train, print the figures: means over trainings, and the standard deviations of slope and of AUROC out of fold."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(training, range(trainings), [permuted] * trainings))
    names = sorted({name for each in found for name in each})
    figures = {name: float(np.mean([each[name] for each in found if name in each])) for name in names}
    for name in {"slope", "auroc_out_of_fold"} & set(names):
        values = [each[name] for each in found if name in each]
        figures[f"{name}_deviation"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    figures["sensitivity_missed"] = float(np.mean([each["sensitivity"] < SENSITIVITY for each in found]))
    print_figures(figures)


if __name__ == "__main__":
    typer.run(main)
