"""Two models of nuclei on the same test patches, from their rows of predictions.csv; differences have intervals by source image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import ValidationError

from pathology.contracts.comparison.items import Mark, Matched, Side
from pathology.contracts.comparison.reading import PREDICTIONS, Comparable, Contents, Read, StoredEvaluation
from pathology.contracts.comparison.result import DifferentItem, GroupRow, PairedComparison, PairedScore
from pathology.contracts.errors import DataError
from pathology.contracts.intervals import Interval
from pathology.contracts.intervals.clusters import MIN_CLUSTERS, Spread, cluster_differences
from pathology.contracts.lizard.evaluate import NucleiScoreRow
from pathology.contracts.lizard.patches import ALL_CLASSES
from pathology.contracts.settings import explain
from pathology.tasks.lizard.images import OF_IMAGES, image_values
from pathology.tasks.lizard.scores import OF_CLASS, OVERALL, R2, measures
from pathology.tasks.lizard.sums import FIELDS, by_source, present_in, ratio, table_of

UNIT = "patches"
LISTED = 100
"""Patches, of those that the models answer differently."""
IMAGES = "image_"
"""Before the names of means over source images."""


@dataclass(frozen=True, kw_only=True)
class NucleiAnswers:
    """A model's ``rows`` of predictions.csv, its ``name`` in messages, the hash of each patch's content where it is known, the patches
    that the model was ``learned`` from, None where that is not known, and the ``classes`` that it tells apart where that is of interest."""

    name: str
    rows: Sequence[NucleiScoreRow]
    contents: Mapping[str, str] = field(default_factory=dict)
    learned: frozenset[str] | None
    classes: tuple[str, ...] = ()

    def side(self) -> Side:
        """For matching: a patch's truth is how many nuclei it has."""
        marks = {
            row.patch: Mark(truth=row.tp + row.fn, content=self.contents.get(row.patch, ""))
            for row in self.rows
            if row.class_name == ALL_CLASSES
        }
        return Side(name=self.name, marks=marks, learned=self.learned)

    def table(self, patches: frozenset[str], classes: Sequence[str]) -> tuple[np.ndarray, list[str], list[str]]:
        """(patches, K + 1, fields) in the order of the patches' names, and their sources and names. Raises as :func:`table_of`."""
        rows = sorted((row for row in self.rows if row.patch in patches), key=lambda row: row.patch)
        return *table_of(rows, classes), sorted(patches)


def compare_nuclei(
    first: NucleiAnswers,
    second: NucleiAnswers,
    classes: Sequence[str],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedComparison:
    """Compare on the patches that both answered; both tell the same ``classes`` apart.

    Raises:
        DataError: when a patch's rows are not each class and ``all`` once, or name two source images, or the models name another.
    """
    matched = Matched.of(first.side(), second.side(), UNIT)
    reason = matched.refusal(None)
    if reason:
        return matched.comparison(positives=None, confidence=confidence, reason=reason)
    chosen = frozenset(matched.items)
    (ours, sources, patches), (theirs, others, _) = (model.table(chosen, classes) for model in (first, second))
    _check_sources(patches, sources, others, second.name)
    reason = _refusal(ours, sources)
    if reason:
        return matched.comparison(positives=None, confidence=confidence, reason=reason)
    sums = by_source(ours, sources), by_source(theirs, sources)
    draws: dict[str, Any] = {"resamples": resamples, "confidence": confidence, "seed": seed}
    found = paired_measures(sums[0], sums[1], **draws)
    of_class = found[len(OVERALL) :]
    different = _different(ours, theirs, sources, patches)
    return matched.comparison(
        positives=None,
        confidence=confidence,
        scores=dict(zip(OVERALL, found, strict=False)) | paired_images(sums[0], sums[1], **draws),
        different=different[:LISTED],
        different_of=len(different),
        groups=[
            GroupRow(
                name=name,
                n=int(ours[:, k, FIELDS.index("has")].sum()),
                positives=None,
                scores=dict(zip(OF_CLASS, of_class[k * len(OF_CLASS) :], strict=False)),
            )
            for k, name in enumerate(classes)
        ],
    )


def _check_sources(patches: Sequence[str], ours: Sequence[str], theirs: Sequence[str], name: str) -> None:
    moved = [patch for patch, one, other in zip(patches, ours, theirs, strict=True) if one != other]
    if moved:
        raise DataError(f"{name}: {len(moved)} patches come from another source image in its predictions.csv, {moved[0]} first")


def _refusal(table: np.ndarray, sources: Sequence[str]) -> str:
    """Why nothing can be said of these patches; empty where it can."""
    if len(set(sources)) < 2:
        return f"the {len(table)} patches in common come from one source image, and it takes two to know how unlike they are"
    if not table[:, -1, FIELDS.index("typed")].any():
        return f"the truth of the {len(table)} patches in common has no nuclei"
    return ""


def paired_measures(first: np.ndarray, second: np.ndarray, *, least: int = MIN_CLUSTERS, **draws: Any) -> list[PairedScore]:
    """Of two models' (sources, K + 1, fields) sums, in the order of :func:`measures`; ``draws`` are those of the bootstrap.

    In a class's measures the source images take part that have any nucleus of it, in truth or in either prediction.
    """
    kinds = np.repeat((present_in(first) | present_in(second))[:, :-1], len(OF_CLASS), axis=1)
    names = (*OVERALL, *(OF_CLASS * (first.shape[1] - 1)))
    differences = cluster_differences(
        measures,
        first,
        second,
        takes_part=np.concatenate([np.ones((len(first), len(OVERALL)), bool), kinds], axis=1),
        covered=np.array([name != R2 for name in names]),
        least=least,
        **draws,
    )
    values = [measures(sums.sum(axis=0)[None])[0] for sums in (first, second)]
    return [_score(*each) for each in zip(*values, differences, strict=True)]


def paired_images(first: np.ndarray, second: np.ndarray, *, least: int = MIN_CLUSTERS, **draws: Any) -> dict[str, PairedScore]:
    """Means over source images, by ``image_`` and their name in OF_IMAGES, of those images that have the score of both models."""
    ours, theirs = image_values(first), image_values(second)
    known = ~np.isnan(ours) & ~np.isnan(theirs)
    sums = [np.stack([np.where(known, values, 0.0), known], axis=-1) for values in (ours, theirs)]

    def means(totals: np.ndarray) -> np.ndarray:
        return ratio(totals[..., 0], totals[..., 1], empty=np.nan)

    differences = cluster_differences(means, *sums, takes_part=known, least=least, **draws)
    values = [means(each.sum(axis=0)) for each in sums]
    scores = (_score(*each) for each in zip(*values, differences, strict=True))
    return {f"{IMAGES}{name}": score for name, score in zip(OF_IMAGES, scores, strict=True)}


def _score(first: float, second: float, difference: Interval | Spread | None) -> PairedScore:
    ours, theirs = (None if np.isnan(value) else float(value) for value in (first, second))
    if isinstance(difference, Interval) and ours is not None and theirs is not None:
        return PairedScore.of(ours, theirs, difference)
    reason = f"no interval: fewer than {MIN_CLUSTERS} source images take part, or the measure is R²"
    return PairedScore.without_interval(ours, theirs, reason)


def _different(first: np.ndarray, second: np.ndarray, sources: Sequence[str], patches: Sequence[str]) -> list[DifferentItem]:
    """Patches on which the panoptic quality of nuclei of any class differs, most first."""
    ours, theirs = (table[:, -1, FIELDS.index("pq")] for table in (first, second))
    chosen = sorted(
        np.flatnonzero(ours != theirs).tolist(), key=lambda index: (-abs(ours[index] - theirs[index]), patches[index])
    )
    return [
        DifferentItem(
            item=patches[index],
            group=sources[index],
            label=None,
            first=float(ours[index]),
            second=float(theirs[index]),
            first_right=None,
        )
        for index in chosen
    ]


def contents(evaluated: StoredEvaluation, read: Read) -> Contents:
    """A patch is the same where its arrays are, as its name says where in them it lies."""
    arrays = [evaluated.block.data.get(f"{name}_sha256", "") for name in ("images", "labels")]
    known = {"arrays": " ".join(arrays) if all(arrays) else ""}
    return dict.fromkeys(evaluated.column("patch"), known)


def answers(evaluated: StoredEvaluation, contents: Mapping[str, str]) -> NucleiAnswers:
    """Of a stored evaluation.

    Raises:
        DataError: when predictions.csv is damaged, or holds other patches than evaluation.json counts.
    """
    where = f"{evaluated.name}'s {PREDICTIONS}"
    try:
        rows = [NucleiScoreRow.model_validate(row) for row in evaluated.rows]
    except ValidationError as error:
        raise DataError(explain(error, where)) from None
    found = len({row.patch for row in rows})
    if found != evaluated.block.n:
        raise DataError(f"{where}: holds {found} patches, and evaluation.json says {evaluated.block.n}")
    model = evaluated.block.model
    return NucleiAnswers(
        name=evaluated.name, rows=rows, contents=contents, learned=evaluated.learned("patch"), classes=model.classes
    )


COMPARABLE = Comparable(
    task="lizard",
    measure="bpq",
    title="bPQ",
    unit=UNIT,
    item="patch",
    contents=contents,
    answers=answers,
    compare=lambda first, second, confidence: compare_nuclei(first, second, first.classes, confidence=confidence),
)
