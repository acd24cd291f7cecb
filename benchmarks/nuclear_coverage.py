"""How often the intervals of nuclear measures by source image hold the truth, over simulated test sets.

``nuclei(cohorts, resamples)`` gives coverage of a nominal 95 % by measure and number of source images, the lower one of two processes;
``nuclei_lowest`` is the lowest of mPQ+ and detection F1 over 48, Lizard's number in fold 0, and ``nuclei_halfwidth_highest`` the
largest mean half-width there of a measure over all classes, over that of a normal interval with the true variance. The process is
:data:`PROCESS`: in the first, source images differ as it says; in the second one in ten is far worse beside, as where staining failed.

    python -m benchmarks.nuclear_coverage [--cohorts 500] [--resamples 200] [--table]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer
from pathology.contracts.intervals import Interval
from pathology.tasks.lizard.images import OF_IMAGES, image_values, of_images
from pathology.tasks.lizard.scores import OF_CLASS, OVERALL, R2, estimates_of, measures
from pathology.tasks.lizard.sums import FIELDS, ratio
from scipy.special import expit, logit
from scipy.stats import norm

from benchmarks.measure import print_figures

NUMBERS = (48, 30, 20, 15, 10, 6, 3)
"""Source images of a test set; 48 have Lizard's fold 0."""
OUTLYING = (0.0, 0.1)
"""Fraction of source images that are far worse, of each process."""
POPULATION, PIECE = 20_000, 2_000
"""Source images from which the truth is computed, and how many at once; its standard error is below 0.002."""
HEADLINE = ("mpq_plus", "detection_f1")


@dataclass(frozen=True)
class Process:
    """What test sets are drawn from; classes are Lizard's six, with its frequencies. Normal effects are on the logit scale."""

    patches: float = 21
    """Of a source image, the mean of a log-normal with the deviation ``patches_spread`` of its logarithm, at least one."""
    patches_spread: float = 0.9
    nuclei: float = 100
    """Of a patch, the mean; log-normal between source images (0.4) and between patches (0.5), then Poisson for each class."""
    frequencies: tuple[float, ...] = (0.0095, 0.49, 0.20, 0.058, 0.0072, 0.235)
    composition: tuple[float, ...] = (1.3, 0.7, 0.7, 0.9, 1.3, 0.5)
    """By how much a class's frequency differs between source images, as the deviation of its logarithm."""
    found: tuple[float, ...] = (0.6, 1.6, 1.8, 1.2, 1.0, 1.2)
    """How well nuclei of each class are found; plus the source image's skill (0.6) and the patch's (0.4)."""
    right: tuple[float, ...] = (0.8, 3.0, 2.2, 1.0, 1.0, 2.2)
    """How well a class is told where a nucleus is found; plus each source image's own effect for each class (0.6) and half its skill."""
    far_worse: float = -2.0
    """Skill that an outlying source image has less."""


PROCESS = Process()
SKILL = 0.6
"""How much source images differ in how well they are done, as a standard deviation on the logit scale."""


@dataclass(frozen=True)
class TrueNuclei:
    """The truth of a test set: how many patches each source image has, and the nuclei (patches, K) of each."""

    size: np.ndarray
    nuclei: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """(patches,) number of the source image."""
        return np.repeat(np.arange(len(self.size)), self.size)


def drawn_truth(generator: np.random.Generator, sources: int, process: Process = PROCESS) -> TrueNuclei:
    """Of so many source images."""
    kinds, frequencies = len(process.frequencies), np.array(process.frequencies)
    size = generator.lognormal(np.log(process.patches) - process.patches_spread**2 / 2, process.patches_spread, sources)
    size = np.maximum(size.round().astype(int), 1)
    own, patches = np.repeat(np.arange(sources), size), int(size.sum())
    composition = np.array(process.composition)
    mix = frequencies * generator.lognormal(-(composition**2) / 2, composition, (sources, kinds))
    crowd = generator.lognormal(np.log(process.nuclei) - 0.08, 0.4, sources)[own] * generator.lognormal(-0.125, 0.5, patches)
    return TrueNuclei(size, generator.poisson(crowd[:, None] * mix[own]))


def source_images(generator: np.random.Generator, sources: int, outlying: float, process: Process = PROCESS) -> np.ndarray:
    """Sums (sources, K + 1, fields) of so many source images, as rows of predictions.csv would give them."""
    truth = drawn_truth(generator, sources, process)
    skill = generator.normal(0, SKILL, sources) + process.far_worse * (generator.random(sources) < outlying)
    return answered(generator, truth, skill, process)


def answered(generator: np.random.Generator, truth: TrueNuclei, skill: np.ndarray, process: Process = PROCESS) -> np.ndarray:
    """Sums (sources, K + 1, fields) of a model that has such a ``skill`` (sources,) on each source image of a test set."""
    own, nuclei, sources = truth.own, truth.nuclei, len(truth.size)
    (patches, kinds), frequencies = nuclei.shape, np.array(process.frequencies)
    here = skill[own] + generator.normal(0, 0.4, patches)
    found = generator.binomial(nuclei, expit(np.array(process.found) + here[:, None]))
    told = expit(np.array(process.right) + generator.normal(0, 0.6, (sources, kinds)) + skill[:, None] / 2)
    right = generator.binomial(found, told[own])
    wrong = np.zeros_like(right)
    for kind in range(kinds):  # other classes by the roots of their frequencies
        others = np.sqrt(frequencies) * (np.arange(kinds) != kind)
        wrong += generator.multinomial(found[:, kind] - right[:, kind], others / others.sum())
    spurious = expit(-1.6 - skill + generator.normal(0, 0.4, sources))
    made_up = generator.poisson((nuclei.sum(axis=1) * spurious[own])[:, None] * frequencies)
    iou = expit(1.1 + 0.35 * skill + generator.normal(0, 0.15, sources))[own] * (1 + generator.normal(0, 0.03, patches))
    overlap = expit(logit(expit(1.3 + 0.6 * skill + generator.normal(0, 0.2, sources)))[own] + generator.normal(0, 0.3, patches))
    counts = {
        "tp": np.c_[right, found.sum(axis=1)],
        "fp": np.c_[wrong + made_up, made_up.sum(axis=1)],
        "fn": np.c_[nuclei - right, (nuclei - found).sum(axis=1)],
    }
    table = _table(generator, counts, np.clip(iou, 0.52, 0.99), overlap)
    return np.asarray(np.add.reduceat(table, np.concatenate([[0], np.cumsum(truth.size)[:-1]]), axis=0))


def _table(generator: np.random.Generator, counts: dict[str, np.ndarray], iou: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """(patches, K + 1, fields) of counts (patches, K + 1) and each patch's mean IoU and Dice (patches,)."""
    tp, fp, fn = (counts[name] for name in ("tp", "fp", "fn"))
    true, predicted = tp + fn, tp + fp
    near = tp + generator.binomial(np.minimum(fp, fn), 0.15)
    near_12 = near + generator.binomial(np.minimum(fp, fn) - (near - tp), 0.3)
    values: dict[str, np.ndarray] = {
        **counts,
        "patches": np.ones_like(tp),
        "iou_sum": tp * iou[:, None],
        "pq": ratio(tp * iou[:, None], tp + 0.5 * fp + 0.5 * fn),
        "has": true > 0,
        "count": true,
        "count_squared": true**2,
        "error_squared": (true - predicted) ** 2,
        "paired_12": near_12,
        "paired_6": near,
        "pixels_true": 90 * true,
        "pixels_predicted": 90 * predicted,
        "pixels_both": 45 * (true + predicted) * overlap[:, None],
        "aji_union": 110.0 * true,
        "aji_intersection": 110 * true * 0.72 * overlap[:, None],
    }
    table = np.zeros((*tp.shape, len(FIELDS)))
    for name, value in values.items():
        table[..., FIELDS.index(name)] = value
    has, pq = table[:, :-1, FIELDS.index("has")].sum(axis=1), table[:, :-1, FIELDS.index("pq")].sum(axis=1)
    for name, of_all in (("dice", overlap), ("aji", 0.72 * overlap), ("typed", has > 0), ("pq_typed", ratio(pq, has))):
        table[:, -1, FIELDS.index(name)] = of_all
    return table


def names() -> list[str]:
    """Of what is measured: measures over all, of each class, of images."""
    of_classes = [f"{measure}_{kind}" for kind in range(1, len(PROCESS.frequencies) + 1) for measure in OF_CLASS]
    return [*OVERALL, *of_classes, *(f"image_{name}" for name in OF_IMAGES)]


def truths(outlying: float) -> np.ndarray:
    """Of all source images of the process, in the order of :func:`names`."""
    generator = np.random.default_rng(1)
    total, of_images_ = 0.0, []
    for _ in range(POPULATION // PIECE):
        sums = source_images(generator, PIECE, outlying)
        total = total + sums.sum(axis=0, keepdims=True)
        of_images_.append(np.nanmean(image_values(sums), axis=0))
    return np.concatenate([measures(np.asarray(total))[0], np.mean(of_images_, axis=0)])


def coverage(sources: int, outlying: float, truth: np.ndarray, cohorts: int, resamples: int) -> dict[str, float]:
    """By measure the fraction of test sets whose interval holds the truth, of those that have one; whatever the number of sources.

    ``halfwidth`` is the mean half-width of the widest over that of a normal interval with the true variance, of measures over all.
    """
    generator = np.random.default_rng([sources, round(100 * outlying)])
    held: dict[str, list[bool]] = {name: [] for name in names()}
    seen: dict[str, list[Interval]] = {name: [] for name in OVERALL if name != R2}
    for seed in range(cohorts):
        sums = source_images(generator, sources, outlying)
        draws: dict[str, Any] = {"resamples": resamples, "confidence": 0.95, "seed": seed}
        found = [*estimates_of(sums, **draws, least=2), *of_images(sums, **draws, least=2).values()]
        for name, measured, value in zip(held, found, truth, strict=True):
            if isinstance(measured, Interval):
                held[name].append(measured.low <= value <= measured.high)
                if name in seen:
                    seen[name].append(measured)
    halfwidth = max(
        np.mean([each.high - each.low for each in found]) / (2 * norm.ppf(0.975) * np.std([each.value for each in found]))
        for found in seen.values()
    )
    return {name: float(np.mean(each)) for name, each in held.items() if each} | {"halfwidth": float(halfwidth)}


def percentile_r2(truth: np.ndarray, cohorts: int, resamples: int, sources: int = NUMBERS[0]) -> float:
    """Coverage of R² by the percentile bootstrap, which is why it has no interval."""
    generator, place = np.random.default_rng(3), OVERALL.index("r2")
    held = 0
    for _ in range(cohorts):
        sums = source_images(generator, sources, 0.0)
        weights = generator.multinomial(sources, np.full(sources, 1 / sources), size=resamples).astype(float)
        low, high = np.quantile(measures(np.tensordot(weights, sums, axes=1))[:, place], [0.025, 0.975])
        held += low <= truth[place] <= high
    return held / cohorts


def simulate(cohorts: int, resamples: int) -> dict[int, dict[str, float]]:
    """By number of source images each measure's coverage, the lower one of the two processes; fewer than 48 on half the test sets."""
    truth = {outlying: truths(outlying) for outlying in OUTLYING}
    lowest: dict[int, dict[str, float]] = {}
    for number in NUMBERS:
        some = cohorts if number == NUMBERS[0] else max(cohorts // 2, 1)
        each = [coverage(number, outlying, truth[outlying], some, resamples) for outlying in OUTLYING]
        lowest[number] = {name: min(found[name] for found in each) for name in each[0] if name in each[1]}
        lowest[number]["halfwidth"] = max(found["halfwidth"] for found in each)
    lowest[NUMBERS[0]]["r2_percentile"] = percentile_r2(truth[0.0], max(cohorts // 5, 1), resamples)
    return lowest


def nuclei(cohorts: int = 500, resamples: int = 200) -> dict[str, float]:
    """The figures: ``nuclei_<measure>_<source images>`` of measures over all, and ``nuclei_lowest``."""
    return _figures(simulate(cohorts, resamples))


def _figures(lowest: dict[int, dict[str, float]]) -> dict[str, float]:
    shown = (*OVERALL, "r2_percentile", *(f"image_{name}" for name in OF_IMAGES))
    figures = {f"nuclei_{name}_{number}": found[name] for number, found in lowest.items() for name in shown if name in found}
    first = lowest[NUMBERS[0]]
    return figures | {
        "nuclei_halfwidth_highest": first["halfwidth"],
        "nuclei_lowest": min(first[name] for name in HEADLINE),
    }


def table(lowest: dict[int, dict[str, float]]) -> str:
    """In Markdown, a row a measure and a column a number of source images."""
    lines = ["| | " + " | ".join(map(str, lowest)) + " |", "|---" * (len(lowest) + 1) + "|"]
    for name in names():
        if any(name in found for found in lowest.values()):
            cells = (f"{100 * found[name]:.1f}" if name in found else "–" for found in lowest.values())
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(
    cohorts: Annotated[int, typer.Option(help="Test sets of 48 source images; half as many of each smaller number.")] = 500,
    resamples: Annotated[int, typer.Option(help="Bootstrap samples of each.")] = 200,
    show: Annotated[bool, typer.Option("--table", help="Print every measure, in Markdown.")] = False,
) -> None:
    """Simulate, print the figures."""
    lowest = simulate(cohorts, resamples)
    if show:
        print(table(lowest))
    print_figures(_figures(lowest))


if __name__ == "__main__":
    typer.run(main)
