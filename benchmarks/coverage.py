"""How often the intervals of a binary classifier's measures hold the truth, in cohorts of our sizes, and how wide they are.

Scores are normal, heavy-tailed (Student's t with 3 degrees of freedom), skewed (exponential) or normal in steps of half a standard
deviation, with ties; positives are shifted so that the true AUROC is the cell's. Each cohort brings its own threshold: Youden's of a
training set of the same size and scores; predictive values and what is spared are at 15 % positives. Probabilities are those that
normal scores would have. ``…_lowest`` is the lowest coverage of a nominal 95 % over all cells of 300 patients with 60 positives and of
83 with 15, ``…_lowest_small`` over those of 60 with 12. ``auroc_halfwidth_highest`` is the largest mean half-width over that of a normal
interval with the true variance, ``auroc_halfwidth_normal`` the largest for normal scores of an AUROC up to 0.92. ``nuclei_…`` and
``sensitivity_missed_…`` are explained in benchmarks.nuclear_coverage and benchmarks.guarantee.

    python -m benchmarks.coverage [--cohorts 4000] [--resampled 500] [--resamples 500] [--table]
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is imported: the processes below share the cores

from collections.abc import Callable, Iterator  # noqa: E402
from concurrent.futures import ProcessPoolExecutor  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from functools import lru_cache  # noqa: E402
from itertools import product  # noqa: E402
from typing import Annotated  # noqa: E402

import numpy as np  # noqa: E402
import typer  # noqa: E402
from pathology.contracts.intervals import (  # noqa: E402
    Interval,
    area_under_roc,
    drawn_within_classes,
    f_measure,
    mean_of_positives,
    mean_of_two,
    on_logit_scale,
    predictive_value,
    proportion,
    weighted_sum,
)
from pathology.metrics.calibration import calibration_intercept, calibration_slope  # noqa: E402
from pathology.metrics.judged_points import one_less  # noqa: E402
from pathology.metrics.ranking import auroc, average_precision, average_precisions, youden_threshold  # noqa: E402
from scipy.optimize import brentq  # noqa: E402
from scipy.special import expit  # noqa: E402
from scipy.stats import norm  # noqa: E402

from benchmarks.guarantee import SHAPES as SIGNALS  # noqa: E402
from benchmarks.guarantee import guarantee, worst  # noqa: E402
from benchmarks.measure import print_figures  # noqa: E402
from benchmarks.nuclear_coverage import nuclei  # noqa: E402

SIZES = ((300, 60), (83, 15), (60, 12))
SMALL = (60, 12)
AREAS = (0.80, 0.88, 0.92, 0.97)
POPULATION = 200_000
"""Units of each class from which a cell's truth is computed; its standard error is below 0.001."""

Draw = Callable[[np.random.Generator, int], np.ndarray]


SHAPES: dict[str, Draw] = {
    "normal": lambda generator, count: generator.normal(size=count),
    "heavy": lambda generator, count: generator.standard_t(3, size=count),
    "skewed": lambda generator, count: generator.exponential(size=count),
    "ties": lambda generator, count: generator.normal(size=count),
}
CLOSED = ("auroc", "balanced_accuracy", "sensitivity", "specificity", "f1", "ppv", "npv", "spared", "brier", "intercept")
SLOW = ("average_precision", "slope")
MEASURES = (*CLOSED, *SLOW)
PREVALENCE = 0.15


@dataclass(frozen=True)
class Cell:
    """One kind of cohort: patients, positives, the shape of the scores, the true AUROC."""

    patients: int
    positives: int
    shape: str
    area: float

    def scores(
        self, generator: np.random.Generator, shift: float, positives: int, negatives: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Labels and scores of so many of each class, negatives first."""
        truth = np.repeat([0, 1], [negatives, positives])
        score = SHAPES[self.shape](generator, len(truth)) + shift * truth
        return truth, np.round(score * 2) / 2 if self.shape == "ties" else score

    def shift(self) -> float:
        """How far positives lie above negatives for the true AUROC."""

        def excess(shift: float) -> float:
            return auroc(*self.scores(np.random.default_rng(1), shift, POPULATION // 4, POPULATION // 4)) - self.area

        return float(brentq(excess, 0.0, 20.0, xtol=1e-3))


@dataclass(frozen=True)
class Truth:
    """What a cell's intervals should hold: of its population, and of any threshold."""

    cell: Cell
    shift: float
    area: float
    precision: float
    brier: float
    intercept: float
    slope: float
    ordered: dict[int, np.ndarray]

    @classmethod
    def of(cls, cell: Cell) -> Truth:
        """From a large population with the cell's fraction of positives."""
        shift = cell.shift()
        truth, score = cell.scores(np.random.default_rng(2), shift, POPULATION, POPULATION)
        ordered = {label: np.sort(score[truth == label]) for label in (0, 1)}
        weights = POPULATION * cell.positives // (cell.patients - cell.positives)
        some, scores = cell.scores(np.random.default_rng(3), shift, weights, POPULATION)
        chances = probability(cell, shift, scores)
        slope, intercept = calibration_slope(some, chances), calibration_intercept(some, chances)
        assert slope is not None and intercept is not None
        return cls(
            cell,
            shift,
            area=auroc(truth, score),
            precision=average_precision(some, scores),
            brier=float(np.mean((chances - some) ** 2)),
            intercept=intercept.value,
            slope=slope.value,
            ordered=ordered,
        )

    def at(self, threshold: float) -> dict[str, float]:
        """The true value of every measure, by name."""
        below = {label: float(np.searchsorted(each, threshold)) / len(each) for label, each in self.ordered.items()}
        sensitivity, specificity = 1 - below[1], below[0]
        cell, missed, false = self.cell, below[1], 1 - specificity
        found, called = sensitivity * cell.positives, false * (cell.patients - cell.positives)
        return {
            "auroc": self.area,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "f1": 2 * found / (found + called + cell.positives),
            "ppv": PREVALENCE * sensitivity / (PREVALENCE * sensitivity + (1 - PREVALENCE) * false),
            "npv": (1 - PREVALENCE) * specificity / ((1 - PREVALENCE) * specificity + PREVALENCE * missed),
            "spared": 100 * ((1 - PREVALENCE) * specificity + PREVALENCE * missed),
            "brier": self.brier,
            "intercept": self.intercept,
            "slope": self.slope,
            "average_precision": self.precision,
        }


def probability(cell: Cell, shift: float, score: np.ndarray) -> np.ndarray:
    """Of being positive, for scores (n,) that are normal with a standard deviation of 1."""
    odds = cell.positives / (cell.patients - cell.positives)
    return np.asarray(expit(shift * score - shift**2 / 2 + np.log(odds)))


def measure(cell: Cell, cohorts: int, resampled: int, resamples: int) -> dict[str, float]:
    """A cell's coverage by measure, and the AUROC's mean half-width over the oracle's."""
    truths = Truth.of(cell)
    shift, generator = truths.shift, np.random.default_rng([cell.patients, cell.positives, int(cell.area * 100), len(cell.shape)])
    negatives = cell.patients - cell.positives
    held: dict[str, list[bool]] = {name: [] for name in MEASURES}
    widths, areas = [], []
    for index in range(cohorts):
        threshold = youden_threshold(*cell.scores(generator, shift, cell.positives, negatives))
        truth, score = cell.scores(generator, shift, cell.positives, negatives)
        chances = probability(cell, shift, score)
        found, true = _intervals(truth, score, threshold, chances), truths.at(threshold)
        if index < resampled:
            draws = average_precisions(truth, score, drawn_within_classes(truth, resamples, index))
            found["average_precision"] = on_logit_scale(average_precision(truth, score), draws, cell.positives)
            slope = calibration_slope(truth, chances)
            if slope is not None:
                found["slope"] = slope
        for name, interval in found.items():
            held[name].append(interval.low <= true[name] <= interval.high)
        widths.append(found["auroc"].high - found["auroc"].low)
        areas.append(found["auroc"].value)
    oracle = 2 * norm.ppf(0.975) * np.std(areas)
    return {**{name: float(np.mean(each)) for name, each in held.items()}, "halfwidth": float(np.mean(widths) / oracle)}


wilson_of = lru_cache(maxsize=None)(proportion)
"""Few counts come up again and again."""


def _intervals(truth: np.ndarray, score: np.ndarray, threshold: float, chances: np.ndarray) -> dict[str, Interval]:
    called = score >= threshold
    positives, negatives = int(truth.sum()), int((1 - truth).sum())
    true_positives, false_positives = int((called & (truth == 1)).sum()), int((called & (truth == 0)).sum())
    sensitivity, specificity = wilson_of(true_positives, positives), wilson_of(negatives - false_positives, negatives)
    missed, false = one_less(sensitivity), one_less(specificity)
    return {
        "auroc": area_under_roc(truth, score),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "balanced_accuracy": mean_of_two(sensitivity, specificity),
        "f1": f_measure(true_positives, false_positives, positives - true_positives, 1.0),
        "ppv": predictive_value(PREVALENCE, sensitivity, false),
        "npv": predictive_value(1 - PREVALENCE, specificity, missed),
        "spared": weighted_sum((100 * (1 - PREVALENCE), specificity), (100 * PREVALENCE, missed)),
        "brier": mean_of_positives(truth, (chances - truth) ** 2),
        **({"intercept": intercept} if (intercept := calibration_intercept(truth, chances)) else {}),
    }


def cells() -> Iterator[Cell]:
    """Every kind of cohort."""
    for (patients, positives), shape, area in product(SIZES, SHAPES, AREAS):
        yield Cell(patients, positives, shape, area)


def summarise(measured: dict[Cell, dict[str, float]]) -> dict[str, float]:
    """The figures that docs/statistics.md is held to."""
    figures: dict[str, float] = {}
    for name in MEASURES:
        for suffix, wanted in (("lowest", False), ("lowest_small", True)):
            figures[f"{name}_{suffix}"] = min(
                values[name] for cell, values in measured.items() if ((cell.patients, cell.positives) == SMALL) == wanted
            )
    figures["auroc_halfwidth_highest"] = max(values["halfwidth"] for values in measured.values())
    figures["auroc_halfwidth_normal"] = max(
        values["halfwidth"] for cell, values in measured.items() if cell.shape == "normal" and cell.area <= 0.92
    )
    return figures


def main(
    cohorts: Annotated[
        int, typer.Option(help="Cohorts a cell, for intervals in closed form; trainings of the guarantee.")
    ] = 4000,
    resampled: Annotated[
        int, typer.Option(help="Cohorts a cell, for intervals that resample or iterate; nuclear test sets.")
    ] = 500,
    resamples: Annotated[int, typer.Option(help="Bootstrap samples of each of those.")] = 500,
    table: Annotated[bool, typer.Option("--table", help="Print every cell, in Markdown.")] = False,
) -> None:
    """Simulate, print the figures."""
    kinds = list(cells())
    resampled = min(resampled, cohorts)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        of_nuclei = pool.submit(nuclei, resampled, min(resamples, 200))
        of_trainings = [pool.submit(guarantee, shape, cohorts) for shape in SIGNALS]
        results = list(pool.map(measure, kinds, *([value] * len(kinds) for value in (cohorts, resampled, resamples))))
        figures = {**worst([each.result() for each in of_trainings]), **of_nuclei.result()}
    measured = dict(zip(kinds, results, strict=True))
    if table:
        print_table(measured)
    print_figures({**summarise(measured), **figures})


def print_table(measured: dict[Cell, dict[str, float]]) -> None:
    """Every cell, in Markdown."""
    titles = ["Patients / positives", "Scores", "AUROC", *(name.replace("_", " ") for name in MEASURES), "half-width"]
    print("| " + " | ".join(titles) + " |")
    print("|---" * len(titles) + "|")
    for cell, values in measured.items():
        shown = " | ".join(f"{100 * values[name]:.1f}" for name in MEASURES)
        print(f"| {cell.patients} / {cell.positives} | {cell.shape} | {cell.area:.2f} | {shown} | {values['halfwidth']:.2f} |")


if __name__ == "__main__":
    typer.run(main)
