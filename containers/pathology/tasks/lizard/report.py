"""report.html of lizard: what was found, how sure that is, how it stands to published work, and patches with their outlines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathology.contracts.evaluation import Range
from pathology.contracts.lizard.evaluate import LizardBlock, LizardEvaluation, NucleiScoreRow
from pathology.contracts.lizard.patches import ALL_CLASSES
from pathology.contracts.lizard.published import IMAGE
from pathology.metrics.panoptic import PatchScore, detect, match
from pathology.nuclei.counts import centre
from pathology.nuclei.palette import class_colours
from pathology.report.origin import methods
from pathology.report.page import STANDINGS, Headline, Mark, page, png_uri
from pathology.report.scale import ScaleBar, scale_bar
from pathology.tasks.lizard.figures import Outlines, counts_figure, hexadecimal, outlines

TEMPLATE = Path(__file__).with_name("report.html.j2")

SHOWN = 2
"""Of the best, of the median and of the worst patches each: six of 256 px and their outlines make a page of some 2 MB."""
SHOWN_SIDE = 256
"""px: of larger patches the middle."""
LISTED = 10
"""Worst patches, by name."""

MEASURES = (
    ("bpq", "bPQ", "Finding and outlining in one number, of nuclei of any class: on each patch, then the mean over patches."),
    ("detection_f1", "Detection F1", "Finding alone: nuclei that share more than half with a true one, against those missed and made up."),
    ("centroid_f1", "F1 by centroid", "Finding alone, whatever the outline: pairs of nuclei whose middles are at most 12 px apart."),
    ("dice", "Dice", "Overlap of all nuclear area; blind to whether touching nuclei were told apart."),
    ("aji", "AJI", "Overlap nucleus by nucleus; merging or dividing nuclei costs."),
    ("mpq", "mPQ", "As bPQ for each class that a patch has, then the mean: the class has to be right as well."),
    ("mpq_plus", "mPQ+", "As mPQ, with the nuclei of all patches counted together first; rare classes weigh as much as common ones."),
    ("r2", "R²", "Whether counts of each class follow the true ones from patch to patch: 1 is exact, 0 no better than one number for all."),
)  # fmt: skip
MEASURE_NAMES = {name: title for name, title, _ in MEASURES}
IMAGE_MEASURES = {"bpq": "bPQ", "mpq": "mPQ", "dice": "Dice", "aji": "AJI"}
FINE_TUNING_WORDS = {"frozen": "the frozen encoder", "lora": "the encoder, which has low-rank adapters trained with it,"}


@dataclass(frozen=True)
class Example:
    """A test patch: image (S, S, 3) uint8 RGB, true and predicted labels (S, S, 2) of instance and class."""

    image: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


@dataclass(frozen=True)
class Side:
    """The outlines of one side of a picture, and what they are in words."""

    title: str
    words: str
    outlines: list[Outlines]


@dataclass(frozen=True)
class Picture:
    """A patch as the page shows it: ``side`` px, as a ``data:`` URI, truth and prediction."""

    patch: str
    source: str
    rank: str
    pq: float
    wrong: int
    side: int
    uri: str
    sides: tuple[Side, Side]
    bar: ScaleBar


@dataclass(frozen=True)
class Mistake:
    """One of the worst patches: its PQ, true nuclei, how many of them were missed, and outlines of no nucleus."""

    patch: str
    source: str
    pq: float
    true: int
    missed: int
    made_up: int


def render(evaluation: LizardEvaluation, rows: Sequence[NucleiScoreRow], example: Callable[[str], Example]) -> str:
    """The page: text, tables and figures of ``evaluation``, drawn from the ``rows`` of predictions.csv.

    ``example`` gives a patch by name; it is asked for those shown only.
    """
    block = evaluation.pathology
    classes = block.confusion.classes
    by_class = {name: sorted((row for row in rows if row.class_name == name), key=lambda row: row.patch) for name in classes}
    true, predicted = (
        np.array([[getattr(row, side) for row in by_class[name]] for name in classes]).T
        for side in ("true_count", "predicted_count")
    )
    colours = [hexadecimal(colour) for colour in class_colours(len(classes))]
    context: dict[str, Any] = {
        "block": block,
        "units": "source images",
        "headline": Headline("bPQ, panoptic quality", block.intervals["bpq"], verdict(block), _marks(block)),
        "methods": methods(block, MEASURE_NAMES),
        "measures": [(title, block.intervals[name], words) for name, title, words in MEASURES],
        "measure_names": {**MEASURE_NAMES, **{f"centroid_f1_{name}": f"F1 by centroid, {name}" for name in classes}},
        "image_measures": IMAGE_MEASURES,
        "image_standing": {row.published.measure: row.published.value for row in block.published if row.published.unit == IMAGE},
        "kongnet": {
            row.published.measure.removeprefix("centroid_f1_"): row.published.value
            for row in block.published
            if row.published.model == "KongNet"
        },
        "ranges": [(title, block.intervals[name]) for name, title, _ in MEASURES if isinstance(block.intervals[name], Range)],
        "kongnet_source": next(
            (row.published.source for row in block.published if row.published.model == "KongNet"), "not shown"
        ),
        "standings": STANDINGS,
        "worst": worst(rows),
        "fine_tuned": FINE_TUNING_WORDS[block.model.fine_tuning],
        "colours": dict(zip(classes, colours, strict=True)),
        "counts": [
            counts_figure(row.name, true[:, k], predicted[:, k], row.r2.value if row.r2 else None)
            for k, row in enumerate(block.classes)
        ],
        "pictures": [picture(row, rank, example(row.patch), len(classes), block.model.mpp) for rank, row in chosen(rows)],
        "pooled": confusion_fractions(block),
    }
    return page(TEMPLATE, context)


def verdict(block: LizardBlock) -> str:
    """How many nuclei were found, how many made up and how many given the right class, in one sentence."""
    confusion = np.array(block.confusion.matched)
    matches, right = int(confusion.sum()), int(confusion.trace())
    if not matches:
        return f"None of the {block.nuclei:,} nuclei was found: no outline overlaps with a true one by more than half."
    return (
        f"{matches / block.nuclei:.0%} of the {block.nuclei:,} nuclei were found, that is outlined with more than half in common; "
        f"{matches / block.predicted:.0%} of the {block.predicted:,} outlines are of a nucleus; "
        f"{right / matches:.0%} of the nuclei found have their right class."
    )


def _marks(block: LizardBlock) -> tuple[Mark, ...]:
    """The published bPQs that ours may be compared with."""
    published = [row.published for row in block.published if row.published.measure == "bpq" and row.standing]
    return tuple(Mark(result.value, f"{result.value:.3f} {result.model}, published") for result in published)


def confusion_fractions(block: LizardBlock) -> list[list[float]]:
    """(K + 1, K + 1): each true class, as the fraction of its nuclei called each class or missed; last the false positives, as the
    fraction of all of them."""
    table = block.confusion
    rows = [[*row, not_found] for row, not_found in zip(table.matched, table.false_negatives, strict=True)]
    rows.append([*table.false_positives, 0])
    return [[count / max(sum(row), 1) for count in row] for row in rows]


def chosen(rows: Sequence[NucleiScoreRow]) -> list[tuple[str, NucleiScoreRow]]:
    """The best, the median and the worst patches by PQ of nuclei of any class, up to :data:`SHOWN` each, none repeated.

    A patch without nuclei in truth and prediction has nothing to show, and is left out.
    """
    ranked = sorted(
        (row for row in rows if row.class_name == ALL_CLASSES and row.tp + row.fp + row.fn),
        key=lambda row: (-_pq(row), row.patch),
    )
    each = max(1, min(SHOWN, len(ranked) // 3))
    best, rest = ranked[:each], ranked[each:]
    between, worst = rest[:-each], rest[-each:]
    first = max(0, (len(between) - each) // 2)
    groups = (("best", best), ("median", between[first : first + each]), ("worst", worst[::-1]))
    return [(rank, row) for rank, group in groups for row in group]


def worst(rows: Sequence[NucleiScoreRow]) -> list[Mistake]:
    """The :data:`LISTED` patches of least PQ that are not all right, worst first; among equals by the number of mistakes, then by name."""
    whole = [row for row in rows if row.class_name == ALL_CLASSES and row.fp + row.fn]
    ranked = sorted(whole, key=lambda row: (_pq(row), -(row.fp + row.fn), row.patch))
    return [Mistake(row.patch, row.source, _pq(row), row.tp + row.fn, row.fn, row.fp) for row in ranked[:LISTED]]


def _pq(row: NucleiScoreRow) -> float:
    return PatchScore(row.tp, row.fp, row.fn, row.iou_sum).pq


def picture(row: NucleiScoreRow, rank: str, example: Example, classes: int, mpp: float) -> Picture:
    """``example`` with its outlines, nuclei without a counterpart dashed; of a large patch the middle. ``mpp`` is µm a px."""
    matches = match(example.true[..., 0], example.predicted[..., 0])
    confusion = detect(example.true, example.predicted, classes).confusion
    image, *maps = (centre(each, SHOWN_SIDE) for each in (example.image, example.true, example.predicted))
    sides = [
        outlines(labels, classes, np.setdiff1d(labels[..., 0], known))
        for labels, known in zip(maps, (matches.true_ids, matches.predicted_ids), strict=True)
    ]
    true = Side("Truth", f"{row.tp + row.fn} nuclei, {row.fn} of them missed (dashed)", sides[0])
    predicted = Side("Model", f"{row.tp + row.fp} outlines, {row.fp} of them of no nucleus (dashed)", sides[1])
    wrong = int(confusion.sum() - confusion.trace())
    bar = scale_bar(len(image), mpp)
    return Picture(row.patch, row.source, rank, _pq(row), wrong, len(image), png_uri(image), (true, predicted), bar)
