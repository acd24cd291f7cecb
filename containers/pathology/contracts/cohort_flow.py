"""The cohort flow: how many slides and patients are left after each step, and why the others are not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from pathology.contracts.cohort import CohortRow, SlideRow
from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import printable
from pathology.contracts.strict_json import StrictJson

FLOW = "cohort.json"
"""The file: the flow, with what else is known of the cohort."""

Count = Annotated[int, Field(ge=0)]

FOUND, MATCHED, LABELLED, WITH_TISSUE = "found", "matched", "labelled", "with tissue"
STEPS = (FOUND, MATCHED, LABELLED, WITH_TISSUE)
MAX_SHOWN = 200
"""Characters of a name with its reason."""
SHOWN = 3
"""Names that a line shows of each reason; the file has all."""


class Loss(StrictJson):
    """Slides that are left out for one ``reason``, by name. ``unexpected``: somebody meant them to be used."""

    reason: str
    unexpected: bool = False
    slides: Count
    names: list[str]

    @classmethod
    def of(cls, reason: str, names: Sequence[str], *, unexpected: bool = False) -> Self:
        """The loss of the slides with these names."""
        return cls(reason=reason, unexpected=unexpected, slides=len(names), names=sorted(names))


class FlowStep(StrictJson):
    """What is left after a step, and what was lost on the way to it. ``patients`` is null while slides belong to nobody yet."""

    name: str
    slides: Count
    patients: Count | None = None
    lost: list[Loss] = Field(default_factory=list)


class SideCount(StrictJson):
    """One side of the split."""

    patients: Count
    positives: Count
    slides: Count


class CohortFlow(StrictJson):
    """:data:`STEPS` in order, as far as the cohort has come, and then the sides of the split.

    ``patients_without_slides`` are labelled in the table and have no slide; of a subset they are many, and nothing is wrong.
    """

    steps: list[FlowStep]
    sides: dict[str, SideCount] = Field(default_factory=dict)
    patients_without_slides: list[str] = Field(default_factory=list)

    @property
    def left(self) -> int:
        """Slides that are left."""
        return self.steps[-1].slides

    def losses(self) -> list[Loss]:
        """All of them, in the order of the steps."""
        return [loss for step in self.steps for loss in step.lost]

    @property
    def unexpected(self) -> int:
        """Slides that were lost though they were meant to be used."""
        return sum(loss.slides for loss in self.losses() if loss.unexpected)

    @property
    def unexpected_fraction(self) -> float:
        """Of the slides that were meant to be used, the fraction that was lost."""
        meant = self.left + self.unexpected
        return self.unexpected / meant if meant else 0.0

    def excess(self, limit: float) -> str:
        """Why more than the fraction ``limit`` is lost, or "" when it is not."""
        if self.unexpected_fraction <= limit:
            return ""
        losses = [loss for loss in self.losses() if loss.unexpected]
        reasons = ", ".join(f"{loss.slides} {loss.reason} ({_few(loss.names)})" for loss in losses)
        return (
            f"{self.unexpected} of {self.left + self.unexpected} slides are lost ({self.unexpected_fraction:.0%}, at most {limit:.0%} "
            f"may be): {reasons}: correct them, or raise 'max-left-out-fraction' (MaxLeftOutFraction)"
        )

    def lines(self) -> Iterator[str]:
        """For a terminal: a line a step and a line a loss."""
        for step in self.steps:
            for loss in step.lost:
                mark = "  !" if loss.unexpected else ""
                yield f"{'':<13}− {loss.slides:>5} {loss.reason}: {_few(loss.names)}{mark}"
            patients = "" if step.patients is None else f", {step.patients} patients"
            yield f"{step.name:<13}{step.slides:>7} slides{patients}"
        for name, side in self.sides.items():
            yield f"{name:<13}{side.slides:>7} slides, {side.patients} patients, {side.positives} positive"
        if self.patients_without_slides:
            yield f"{'not in it':<13}{len(self.patients_without_slides):>7} patients of the table without a slide: " + _few(
                self.patients_without_slides
            )


def count_sides(rows: Iterable[CohortRow]) -> dict[str, SideCount]:
    """Patients, positive patients and slides of train and test."""
    members: dict[str, list[CohortRow]] = {"train": [], "test": []}
    for row in rows:
        members[row.split].append(row)
    labels = {split: {row.patient_id: row.label for row in of_split} for split, of_split in members.items()}
    return {
        split: SideCount(patients=len(labels[split]), positives=sum(labels[split].values()), slides=len(of_split))
        for split, of_split in members.items()
    }


def read_flow(path: Path, rows: Sequence[CohortRow]) -> tuple[CohortFlow, list[str]]:
    """The flow up to the labelled slides, and the cohort's warnings, from the cohort.json of the same preparation.

    Raises:
        DataError: when it cannot be read, or is of another cohort.
    """
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        flow: CohortFlow = CohortFlow.from_json(json.dumps(known["flow"]).encode(), str(path))
        warnings = [str(line) for line in known["warnings"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: it cannot be read as a cohort's flow ({error}): prepare the cohort again") from None
    if flow.left != len(rows):
        raise DataError(f"{path} says {flow.left} slides and the cohort has {len(rows)}: prepare the cohort again")
    return flow, warnings


def with_tissue(flow: CohortFlow, rows: Sequence[CohortRow], slides: Sequence[SlideRow]) -> CohortFlow:
    """The flow with its last step: what extraction failed on, and where it found no tissue, is lost though it was meant to be used."""
    states = {slide.slide_id: slide for slide in slides}
    lost: dict[str, list[str]] = {}
    left = []
    for row in rows:
        slide = states[row.slide_id]
        if slide.status == "ok":
            left.append(row)
        else:
            lost.setdefault("failed" if slide.status == "failed" else "without tissue", []).append(
                f"{row.slide_id}: {slide.reason}"
            )
    step = FlowStep(
        name=WITH_TISSUE,
        slides=len(left),
        patients=len({row.patient_id for row in left}),
        lost=[Loss.of(reason, names, unexpected=True) for reason, names in sorted(lost.items())],
    )
    return flow.model_copy(update={"steps": [*flow.steps, step], "sides": count_sides(left)})


def _few(names: Sequence[str]) -> str:
    shown = [printable(name, MAX_SHOWN) for name in names[:SHOWN]]
    return ", ".join(shown) + (f", … ({len(names) - SHOWN} more)" if len(names) > SHOWN else "")
