"""The cohort: labelled slides of the kinds that are wanted, split by patient, with an account of everything that is not in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pathology.cohort.join import CohortSettings, Join
from pathology.cohort.labels import Labels
from pathology.cohort.same_slide import same_slide_problems, same_slide_warnings
from pathology.cohort.slides import FoundSlides
from pathology.cohort.split import MIN_OF_A_CLASS, Places, SplitSettings, count_places, given, kept, split_patients
from pathology.contracts.cohort import CohortRow
from pathology.contracts.cohort_flow import CohortFlow, count_sides
from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import normal


@dataclass
class Cohort:
    """Rows of cohort.csv, the names of class 0 and class 1, the flow, and what is to be said.

    ``problems`` forbid the cohort; then there may be no rows.
    """

    classes: tuple[str, str]
    flow: CohortFlow
    values: dict[str, int]
    columns: dict[str, str]
    rows: tuple[CohortRow, ...] = ()
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """Counts by split, class, fold and site, prevalence among patients, the flow, and what is to be said."""
        patients = {row.patient_id: row for row in self.rows}
        positives = sum(row.label for row in patients.values())
        return {
            "classes": list(self.classes),
            "slides": len(self.rows),
            "bytes": sum(row.bytes for row in self.rows),
            "patients": len(patients),
            "positives": positives,
            "prevalence": positives / len(patients) if patients else None,
            "splits": {split: _counts(row for row in patients.values() if row.split == split) for split in ("train", "test")},
            "folds": {
                str(fold): _counts(row for row in patients.values() if row.fold == fold)
                for fold in sorted({row.fold for row in patients.values() if row.fold is not None})
            },
            "sites": {
                site: _counts(row for row in patients.values() if row.site == site)
                for site in sorted({row.site for row in patients.values()})
            },
            "columns": self.columns,
            "values": self.values,
            "flow": json.loads(self.flow.to_json()),
            "warnings": self.warnings,
            "notes": self.notes,
        }

    def summary_json(self) -> bytes:
        """The summary as strict JSON; the same bytes for the same cohort."""
        return (json.dumps(self.summary(), indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()

    def check(self) -> None:
        """Raises DataError with every problem, in one line."""
        if self.problems:
            raise DataError("; ".join(self.problems))


def _counts(rows: Iterable[CohortRow]) -> dict[str, int]:
    labels = [row.label for row in rows]
    return {"patients": len(labels), "positives": sum(labels)}


def make_cohort(
    found: FoundSlides, labels: Labels, settings: CohortSettings, earlier: Mapping[str, int | None] | None = None
) -> Cohort:
    """Join slides with labels and split the patients; ``earlier`` are the places of an earlier cohort's patients.

    Everything that forbids the cohort is gathered in ``problems``: :meth:`Cohort.check` raises them.
    """
    joined = Join(found, labels, settings)
    names = (" or ".join(settings.negative), " or ".join(settings.positive))
    columns = {role: column for role, column in labels.columns.items() if column}
    cohort = Cohort(names, joined.flow, labels.values(), columns, warnings=list(labels.warnings), notes=list(labels.notes))
    cohort.problems += [problem for problem in (joined.value_problem(), joined.name_problem()) if problem]
    cohort.problems += labels.problems
    if not cohort.problems:
        cohort.problems += joined.file_problems()
    if not cohort.problems:
        try:
            places = _places(joined.truth, labels, settings, earlier)
        except DataError as error:
            cohort.problems.append(str(error))
        else:
            cohort.rows = tuple(joined.row(slide, patient, places) for slide, patient in joined.labelled)
            cohort.problems += same_slide_problems(cohort.rows)
            cohort.warnings += joined.name_warnings()
            cohort.warnings += same_slide_warnings(cohort.rows)
            cohort.warnings += _small_parts(joined.truth, places, settings)
            cohort.flow = joined.flow.model_copy(update={"sides": count_sides(cohort.rows)})
    if excess := cohort.flow.excess(settings.max_left_out_fraction):
        cohort.problems.append(excess)
    return cohort


def _places(
    truth: Mapping[str, int], labels: Labels, settings: CohortSettings, earlier: Mapping[str, int | None] | None
) -> Places:
    if earlier is not None:
        return kept(truth, earlier, settings, "the earlier cohort")
    if settings.split == "given":
        values = {labels.patients[normal(name)].patient_id: labels.patients[normal(name)].split for name in truth}
        return given(truth, values, settings, labels.where)
    return split_patients(truth, settings)


def _small_parts(truth: Mapping[str, int], places: Places, settings: SplitSettings) -> list[str]:
    """Said of the test set and the folds that have one patient alone of a class."""
    small = [
        f"{'the test set' if part is None else f'fold {part}'} has {min(counts)}"
        for part, counts in count_places(truth, places, settings.folds).items()
        if min(counts) < MIN_OF_A_CLASS
    ]
    if not small:
        return []
    return [f"few patients of a class ({', '.join(small)}): one patient's result decides there"]


def describe(cohort: Cohort) -> str:
    """A few lines to read in a log: the flow, then sizes, then warnings."""
    total = sum(row.bytes for row in cohort.rows)
    sites = Counter(row.site for row in {row.patient_id: row for row in cohort.rows}.values())
    lines = [*cohort.flow.lines(), f"{total / 2**30:.1f} GiB of slides, {len(sites)} sites"]
    lines += [f"note: {note}" for note in cohort.notes]
    lines += [f"warning: {warning}" for warning in cohort.warnings]
    return "\n".join(lines)
