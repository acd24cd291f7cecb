"""Panoptic quality of a test set of nuclei: by one table of overlaps a patch, and by loops over pairs of instances.

``ratio_pairwise_loop`` is against the plain loop, every true with every predicted instance; ``ratio_overlapping_loop`` against the
usual shortcut, every true instance with only those predicted that share a pixel with it. Both loops make their masks once, are timed
on the first patches only, and must come to the same matches there. ``seconds_1018_patches`` is PQ of nuclei of any class on fold 0's
number of patches; ``seconds_1018_patches_all`` all rows of predictions.csv, per class too, and ``seconds_bootstrap`` their intervals.

    python -m benchmarks.panoptic [--patches 1018] [--sample 4]
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is imported: one core

from collections.abc import Iterator  # noqa: E402
from typing import Annotated  # noqa: E402

import numpy as np  # noqa: E402
import typer  # noqa: E402
from pathology.contracts.lizard.patches import LIZARD_CLASSES  # noqa: E402
from pathology.metrics.panoptic import MATCH_IOU, PatchScore, score  # noqa: E402
from pathology.tasks.lizard.rows import patch_rows  # noqa: E402
from pathology.tasks.lizard.scores import NucleiScores  # noqa: E402

from benchmarks.measure import interleaved, print_figures, seconds_of  # noqa: E402

SIDE, CELLS = 256, 9
"""px of a patch; nuclei lie in a grid of 9 × 9 cells of 28 px, the last of which stays empty: 80."""
NUCLEI = CELLS**2 - 1
SOURCES = 40
Pair = tuple[np.ndarray, np.ndarray]


def make_patches(count: int, seed: int = 0) -> Iterator[Pair]:
    """Label maps (256, 256, 2) of 80 discs each, and predictions moved, resized and at times retyped."""
    generator = np.random.default_rng(seed)
    step = SIDE // CELLS
    rows, columns = np.mgrid[:SIDE, :SIDE]
    cell = np.minimum(rows // step, CELLS - 1) * CELLS + np.minimum(columns // step, CELLS - 1)
    down, across = rows - (cell // CELLS) * step, columns - (cell % CELLS) * step

    def discs(centres: np.ndarray, radii: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        inside = (down - centres[0][cell]) ** 2 + (across - centres[1][cell]) ** 2 <= radii[cell] ** 2
        inside &= cell < NUCLEI
        return np.stack([(cell + 1) * inside, kinds[cell] * inside], axis=-1).astype(np.uint16)

    for _ in range(count):
        centres, radii = generator.uniform(9, 19, (2, CELLS**2)), generator.uniform(4, 9, CELLS**2)
        kinds = generator.integers(1, len(LIZARD_CLASSES) + 1, CELLS**2)
        moved, resized = centres + generator.normal(0, 2, centres.shape), radii * generator.uniform(0.8, 1.2, CELLS**2)
        retyped = np.where(generator.random(CELLS**2) < 0.2, np.roll(kinds, 1), kinds)
        yield discs(centres, radii, kinds), discs(moved, resized, retyped)


def by_loop(true: np.ndarray, predicted: np.ndarray, *, overlapping: bool) -> PatchScore:
    """PQ's counts of instance maps (H, W) by a loop over pairs, of those that overlap or of all."""
    ours, theirs = ({int(number): labels == number for number in np.unique(labels) if number} for labels in (true, predicted))
    matched = []
    for mask in ours.values():
        for other in np.unique(predicted[mask]) if overlapping else theirs:
            if other:
                intersection = np.count_nonzero(mask & theirs[int(other)])
                union = np.count_nonzero(mask | theirs[int(other)])
                if intersection / union > MATCH_IOU:
                    matched.append(intersection / union)
    return PatchScore(len(matched), len(theirs) - len(matched), len(ours) - len(matched), sum(matched))


def score_all(pairs: list[Pair]) -> list[PatchScore]:
    """PQ, of nuclei of any class, of each pair of label maps."""
    return [score(true[..., 0], predicted[..., 0]) for true, predicted in pairs]


def loop_all(pairs: list[Pair], *, overlapping: bool) -> list[PatchScore]:
    """As :func:`score_all`, by loops."""
    return [by_loop(true[..., 0], predicted[..., 0], overlapping=overlapping) for true, predicted in pairs]


def check(pairs: list[Pair]) -> None:
    """Hold the loops to the scores.

    Raises:
        RuntimeError: where they differ.
    """
    scores = score_all(pairs)
    for overlapping in (False, True):
        for index, (ours, looped) in enumerate(zip(scores, loop_all(pairs, overlapping=overlapping), strict=True)):
            same = (ours.tp, ours.fp, ours.fn) == (looped.tp, looped.fp, looped.fn)
            if not same or abs(ours.iou_sum - looped.iou_sum) > 1e-9:
                raise RuntimeError(f"patch {index}: {ours} by the table and {looped} by the loop; they must be the same")


def panoptic(
    patches: Annotated[int, typer.Option(help="Patches to score.", min=2)] = 1018,
    sample: Annotated[int, typer.Option(help="Patches to loop over as well.", min=1)] = 4,
    repeats: Annotated[int, typer.Option(help="Takes, of which the median counts.", min=1)] = 3,
) -> None:
    """Time scoring, the loops on a few patches, and the intervals."""
    pairs = list(make_patches(patches))
    few = pairs[:sample]
    check(few)
    taken = interleaved(
        {
            "table": lambda: score_all(few),
            "pairs": lambda: loop_all(few, overlapping=False),
            "overlapping": lambda: loop_all(few, overlapping=True),
        },
        repeats,
    )
    scores = score_all(pairs)
    rows = []

    def make_rows() -> None:
        for index, (true, predicted) in enumerate(pairs):
            rows.extend(patch_rows(f"{index % SOURCES}-{index}", str(index % SOURCES), true, predicted, LIZARD_CLASSES))

    def bootstrap() -> None:
        NucleiScores.of(rows, LIZARD_CLASSES, resamples=2000, confidence=0.95, seed=0)

    figures: dict[str, float] = {
        "patches": len(pairs),
        "nuclei_per_patch": sum(each.tp + each.fn for each in scores) / len(scores),
        "mean_pq": sum(each.pq for each in scores) / len(scores),
        f"seconds_{patches}_patches": interleaved({"table": lambda: score_all(pairs)}, repeats)["table"],
        "milliseconds_a_patch_table": 1000 * taken["table"] / len(few),
        "milliseconds_a_patch_pairwise_loop": 1000 * taken["pairs"] / len(few),
        "milliseconds_a_patch_overlapping_loop": 1000 * taken["overlapping"] / len(few),
        "ratio_pairwise_loop": taken["pairs"] / taken["table"],
        "ratio_overlapping_loop": taken["overlapping"] / taken["table"],
        f"seconds_{patches}_patches_all": seconds_of(make_rows),
        "seconds_bootstrap": seconds_of(bootstrap),
    }
    print_figures(figures)


if __name__ == "__main__":
    typer.run(panoptic)
