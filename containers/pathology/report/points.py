"""The section on operating points: what each is in plain words, and what it means where positives are rarer or more common."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from pathology.contracts.binary import AtPrevalence, BinaryBlock, OperatingRow
from pathology.contracts.operating_points import OperatingPoint, PointName, Promise
from pathology.report.page import share

TITLES: dict[PointName, str] = {"youden": "Youden's", "nominal": "Nominal", "promised": "Promised"}


@dataclass(frozen=True)
class PointRow:
    """An operating point: its title, what it was chosen for, and what it did on the test items."""

    title: str
    words: str
    measured: OperatingRow


@dataclass(frozen=True)
class PrevalenceRow:
    """What the operating point of this title means at one fraction of positives; ``own`` is the test's."""

    title: str
    own: bool
    measured: AtPrevalence


def point_rows(rows: Sequence[OperatingRow], chosen_on: str) -> list[PointRow]:
    """In their order; ``chosen_on`` is the side whose positives they were chosen on, such as "training"."""
    return [PointRow(TITLES[row.point.name], chosen_for(row.point, chosen_on), row) for row in rows]


def prevalence_rows(block: BinaryBlock) -> list[PrevalenceRow]:
    """Every operating point at every fraction of positives, the lowest fraction first."""
    own = block.positives / block.n
    rows = [
        PrevalenceRow(TITLES[row.point.name], math.isclose(at.prevalence, own), at)
        for row in block.operating_points
        for at in row.at_prevalence
    ]
    return sorted(rows, key=lambda row: row.measured.prevalence)


def deciding_titles(rows: Sequence[OperatingRow]) -> str:
    """The operating points whose threshold gives the label: two of them where both lie at one threshold."""
    return " and ".join(TITLES[row.point.name] for row in rows if row.decides)


def chosen_for(point: OperatingPoint, chosen_on: str) -> str:
    """What the threshold of ``point`` was chosen for, in plain words."""
    positives = f"{point.positives:,} {chosen_on} positives"
    match point.name:
        case "youden":
            return f"most of sensitivity + specificity, chosen with {positives}"
        case "nominal":
            return f"set to find {share(point.sensitivity)} of the {positives}{_only(point.promises)}"
        case "promised":
            return _promised(point, positives)
        case _:
            assert_never(point.name)


def _only(promises: Sequence[Promise]) -> str:
    """What that promises of all positives, which is often no better than a coin."""
    return "".join(
        f"; of all positives it promises {share(each.sensitivity)} with {share(each.confidence)} confidence" for each in promises
    )


def _promised(point: OperatingPoint, positives: str) -> str:
    if len(point.promises) == 1:
        (promise,) = point.promises
        return (
            f"finds at least {share(promise.sensitivity)} of all positives with confidence {share(promise.confidence)}, by the scores of "
            f"{positives}"
        )
    surer, higher = point.promises  # with the confidence asked for, and with the sensitivity asked for
    return (
        f"with {positives} no threshold promises {share(point.sensitivity)} with {share(surer.confidence)} confidence: the lowest score "
        f"promises {share(surer.sensitivity)} with {share(surer.confidence)}, or {share(higher.sensitivity)} with "
        f"{share(higher.confidence)}"
    )
