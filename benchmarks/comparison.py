"""How often the interval of the difference of two models on the same items holds the true difference, and what gates ask for.

Scores of two models are normal, heavy-tailed (Student's t with 3 degrees of freedom, its scale shared by the two) or normal in steps of
half a standard deviation, with ties; they are correlated within each class, and positives are shifted to each model's true AUROC. A cell is
a size, a shape, two AUROCs and a correlation; each model calls by a threshold midway between its classes (normal scores alone).

``coverage_paired_N_lowest`` is the lowest coverage of a nominal 95 % over all cells of N items: 300 with 60 positives, 80 with 16, 30 with
5; ``…_halfwidth_highest`` the largest mean half-width over that of a normal interval with the true variance. ``…_sensitivity_…`` and the
like are of differences at the thresholds. ``narrowest`` is the least width of all intervals of different predictions, ``identical`` the
largest of identical ones. ``coverage_paired_nuclei_N_lowest``: the lowest over measures of nuclei over all classes and means over source
images, of N source images (``…_classes_…``: of one class), by the processes of benchmarks.nuclear_coverage, the skills of two models on one
source image being correlated, one of them worse in half the cells. ``equal_passes_RULE_lowest`` and ``…_highest``: how often a model that
is as good as the champion passes at 83 items with 15 positives. ``needed_…``: what has to be measured for a lower bound.

    python -m benchmarks.comparison [--pairs 2000] [--test-sets 300] [--table]
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is imported: the processes below share the cores

from collections.abc import Iterator  # noqa: E402
from concurrent.futures import ProcessPoolExecutor  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from functools import cache  # noqa: E402
from itertools import product  # noqa: E402
from typing import Annotated, Any, get_args  # noqa: E402

import numpy as np  # noqa: E402
import typer  # noqa: E402
from pathology.contracts.comparison.binary import cells as cells_of  # noqa: E402
from pathology.contracts.comparison.gate import ChampionRule, Rule  # noqa: E402
from pathology.contracts.comparison.planning import chance_equal_model_passes, drawn_pairs, measured_needed  # noqa: E402
from pathology.contracts.comparison.result import PairedScore  # noqa: E402
from pathology.contracts.intervals.paired import area_differences, mean_of_differences, proportion_difference  # noqa: E402
from pathology.tasks.lizard.comparison import paired_images, paired_measures  # noqa: E402
from pathology.tasks.lizard.images import OF_IMAGES, image_values  # noqa: E402
from pathology.tasks.lizard.scores import OF_CLASS, OVERALL, R2, measures  # noqa: E402
from scipy.stats import norm  # noqa: E402

from benchmarks.coverage import Cell  # noqa: E402
from benchmarks.measure import print_figures  # noqa: E402
from benchmarks.nuclear_coverage import PROCESS, SKILL, answered, drawn_truth  # noqa: E402

SIZES = ((300, 60), (80, 16), (30, 5))
SHAPES = ("normal", "heavy", "ties")
AREAS = (0.80, 0.88, 0.95)
CORRELATIONS = (0.5, 0.8, 0.95)
PLANNED = (15, 68)
"""Positives and negatives of TCGA-COAD's test set."""
SOURCES = (48, 30, 20)
WORSE = (0.0, 0.5)
"""By how much the second model's skill is less."""
TRUTH = 10_000
"""Source images from which a true difference is computed."""


@dataclass(frozen=True)
class Pair:
    """A kind of comparison: items, positives, the shape of the scores, both true AUROCs, the correlation within a class."""

    items: int
    positives: int
    shape: str
    areas: tuple[float, float]
    correlation: float

    def draw(self, generator: np.random.Generator, pairs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Truth (n,), and scores (pairs, n) of both models."""
        truth, *noise = drawn_pairs(generator, pairs, self.positives, self.items - self.positives, (0.5, 0.5), self.correlation)
        if self.shape == "heavy":
            scale = np.sqrt(generator.chisquare(3, noise[0].shape) / 3)
            noise = [each / scale for each in noise]
        scores = [each + shift_of(self.shape, area) * truth for each, area in zip(noise, self.areas, strict=True)]
        first, second = (np.round(each * 2) / 2 if self.shape == "ties" else each for each in scores)
        return truth, first, second


@cache
def shift_of(shape: str, area: float) -> float:
    """How far positives lie above negatives."""
    return float(np.sqrt(2) * norm.ppf(area)) if shape == "normal" else Cell(300, 60, shape, area).shift()


def pairs_of_models() -> Iterator[Pair]:
    """Every cell; of other shapes than the normal one, those whose first model is no worse: the interval of B − A is that of A − B."""
    for (items, positives), shape, first, second, correlation in product(SIZES, SHAPES, AREAS, AREAS, CORRELATIONS):
        if shape == "normal" or first >= second:
            yield Pair(items, positives, shape, (first, second), correlation)


difference_of = cache(proportion_difference)
"""Few counts come up again and again."""


def measure(pair: Pair, pairs: int) -> dict[str, float]:
    """A cell's coverage by measure, the half-width of AUROC's over the oracle's, and the least and largest widths."""
    generator = np.random.default_rng(
        [pair.items, SHAPES.index(pair.shape), *(int(100 * x) for x in (*pair.areas, pair.correlation))]
    )
    truth, first, second = pair.draw(generator, pairs)
    found, true = area_differences(truth, first, second), pair.areas[0] - pair.areas[1]
    same = area_differences(truth, first[:20], first[:20])
    width = found.high - found.low
    return {
        "": float(np.mean((found.low <= true) & (true <= found.high))),
        "halfwidth": float(width.mean() / (2 * norm.ppf(0.975) * found.value.std())),
        "narrowest": float(width.min()),
        "identical": float(np.abs([same.value, same.low, same.high]).max()),
        **(_at_thresholds(pair, truth == 1, first, second) if pair.shape == "normal" else {}),
    }


def _at_thresholds(pair: Pair, positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Coverage of the differences of sensitivity, specificity and balanced accuracy, which all have one true value here."""
    shifts = [shift_of(pair.shape, area) / 2 for area in pair.areas]
    true = float(norm.cdf(shifts[0]) - norm.cdf(shifts[1]))
    right = [(scores >= shift) == positive for scores, shift in zip((first, second), shifts, strict=True)]
    held: dict[str, list[bool]] = {name: [] for name in ("sensitivity", "specificity", "balanced_accuracy")}
    for ours, theirs in zip(*right, strict=True):
        of_class = [difference_of(*cells_of(ours[here], theirs[here])) for here in (positive, ~positive)]
        for name, interval in zip(held, (*of_class, mean_of_differences(*of_class)), strict=True):
            held[name].append(interval.low <= true <= interval.high)
    return {name: float(np.mean(each)) for name, each in held.items()}


def nuclear_pair(
    generator: np.random.Generator, sources: int, outlying: float, worse: float, correlation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sums (sources, K + 1, fields) of two models on one test set; an outlying source image is one for both."""
    truth = drawn_truth(generator, sources)
    noise = generator.normal(0, SKILL, (2, sources))
    noise[1] = correlation * noise[0] + np.sqrt(1 - correlation**2) * noise[1] - worse
    noise += PROCESS.far_worse * (generator.random(sources) < outlying)
    return answered(generator, truth, noise[0]), answered(generator, truth, noise[1])


def nuclear(outlying: float, worse: float, correlation: float, test_sets: int, resamples: int) -> dict[int, tuple[float, float]]:
    """By number of source images, the lowest coverage over measures over all classes and over images, and over measures of one class."""
    generator = np.random.default_rng([round(100 * x) for x in (outlying, worse, correlation)])
    large = nuclear_pair(generator, TRUTH, outlying, worse, correlation)
    overall, images = ([of(sums) for sums in large] for of in (lambda sums: measures(sums.sum(axis=0)[None])[0], image_values))
    known = ~np.isnan(images[0]) & ~np.isnan(images[1])
    true = np.concatenate([overall[0] - overall[1], np.where(known, images[0] - images[1], 0).sum(axis=0) / known.sum(axis=0)])
    names = (*OVERALL, *(OF_CLASS * len(PROCESS.frequencies)), *OF_IMAGES)
    of_a_class = np.repeat([False, True, False], [len(OVERALL), len(OF_CLASS) * len(PROCESS.frequencies), len(OF_IMAGES)])
    lowest = {}
    for sources in SOURCES:
        held: list[list[bool]] = [[] for _ in names]
        for seed in range(test_sets):
            sums = nuclear_pair(generator, sources, outlying, worse, correlation)
            draws: dict[str, Any] = {"resamples": resamples, "seed": seed}
            found: list[PairedScore] = [*paired_measures(*sums, **draws), *paired_images(*sums, **draws).values()]
            for each, score, value in zip(held, found, true, strict=True):
                if score.bounds is not None:
                    each.append(score.bounds.low <= value <= score.bounds.high)
        covered = np.array([np.mean(each) if len(each) > test_sets / 2 else np.nan for each in held])
        covered[[name == R2 for name in names]] = np.nan  # it has no interval
        lowest[sources] = float(np.nanmin(covered[~of_a_class])), float(np.nanmin(covered[of_a_class]))
    return lowest


def planned() -> dict[str, float]:
    """What gates ask for."""
    figures: dict[str, float] = {}
    for name in get_args(Rule):
        chances = [
            chance_equal_model_passes(*PLANNED, auroc=area, correlation=correlation, rule=ChampionRule(champion=name))
            for area, correlation in product(AREAS, CORRELATIONS)
        ]
        shown = name.replace("-", "_")
        figures |= {f"equal_passes_{shown}_lowest": min(chances), f"equal_passes_{shown}_highest": max(chances)}
    for task, bound, sizes in (("msi", 0.65, PLANNED), ("mhist", 0.85, (360, 617))):
        figures[f"needed_{task}_{100 * bound:.0f}"] = measured_needed(bound, *sizes) or float("nan")
    return figures


def summarise(measured: dict[Pair, dict[str, float]]) -> dict[str, float]:
    """The figures that docs/statistics.md is held to."""
    figures: dict[str, float] = {}
    for items, _ in SIZES:
        here = [found for pair, found in measured.items() if pair.items == items]
        figures[f"coverage_paired_{items}_lowest"] = min(found[""] for found in here)
        figures[f"paired_{items}_halfwidth_highest"] = max(found["halfwidth"] for found in here)
        for name in ("sensitivity", "specificity", "balanced_accuracy"):
            figures[f"coverage_paired_{name}_{items}_lowest"] = min(found[name] for found in here if name in found)
    figures["narrowest"] = min(found["narrowest"] for found in measured.values())
    figures["identical"] = max(found["identical"] for found in measured.values())
    return figures


def main(
    pairs: Annotated[int, typer.Option(help="Pairs of models a cell.")] = 2000,
    test_sets: Annotated[int, typer.Option(help="Test sets of nuclei a cell and number of source images.")] = 300,
    resamples: Annotated[int, typer.Option(help="Bootstrap samples of each of those.")] = 200,
    table: Annotated[bool, typer.Option("--table", help="Print every cell, in Markdown.")] = False,
) -> None:
    """Simulate, print the figures."""
    kinds = list(pairs_of_models())
    processes = list(product((0.0, 0.1), WORSE, (0.5, 0.95)))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        of_nuclei = [pool.submit(nuclear, *process, test_sets, resamples) for process in processes]
        measured = dict(zip(kinds, pool.map(measure, kinds, [pairs] * len(kinds)), strict=True))
        lowest = [each.result() for each in of_nuclei]
    if table:
        print_table(measured)
    figures = summarise(measured)
    for sources in SOURCES:
        figures[f"coverage_paired_nuclei_{sources}_lowest"] = min(each[sources][0] for each in lowest)
        figures[f"coverage_paired_nuclei_classes_{sources}_lowest"] = min(each[sources][1] for each in lowest)
    print_figures(figures | planned())


def print_table(measured: dict[Pair, dict[str, float]]) -> None:
    """Every cell, in Markdown."""
    print("| Items / positives | Scores | AUROCs | correlation | coverage, % | half-width |\n|---|---|---|---|---|---|")
    for pair, found in measured.items():
        first, second = pair.areas
        print(
            f"| {pair.items} / {pair.positives} | {pair.shape} | {first:.2f}, {second:.2f} | {pair.correlation:.2f} "
            f"| {100 * found['']:.1f} | {found['halfwidth']:.2f} |"
        )


if __name__ == "__main__":
    typer.run(main)
