"""The cohort: labelled slides of primary tumours, split by patient. Splits are made here and nowhere else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pathology.cohort.labels import Labels
from pathology.cohort.slides import StoredSlide
from pathology.cohort.split import SplitSettings, split_patients
from pathology.cohort.tcga import not_primary, patient_of, site_of
from pathology.contracts.cohort import CohortRow
from pathology.contracts.errors import DataError

NOT_IN_TABLE = "no row in the label table"
LABEL_MISSING = "label missing in the table"
SEPARATORS = frozenset("-_. ")


@dataclass(frozen=True)
class Cohort:
    """Rows of cohort.csv, the names of class 0 and class 1, and the slides left out by reason."""

    rows: tuple[CohortRow, ...]
    classes: tuple[str, str]
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def summary(self) -> dict[str, object]:
        """Counts by split, class, fold and site, prevalence among patients, and who was left out and why."""
        patients = {row.patient_id: row for row in self.rows}
        positives = sum(row.label for row in patients.values())
        return {
            "classes": list(self.classes),
            "slides": len(self.rows),
            "bytes": sum(row.bytes for row in self.rows),
            "patients": len(patients),
            "positives": positives,
            "prevalence": positives / len(patients),
            "splits": {split: _counts(row for row in patients.values() if row.split == split) for split in ("train", "test")},
            "folds": {
                str(fold): _counts(row for row in patients.values() if row.fold == fold)
                for fold in sorted({row.fold for row in patients.values() if row.fold is not None})
            },
            "sites": {
                site: _counts(row for row in patients.values() if row.site == site)
                for site in sorted({row.site for row in patients.values()})
            },
            "left_out": {reason: {"slides": len(names), "slide_ids": list(names)} for reason, names in self.left_out.items()},
        }

    def summary_json(self) -> bytes:
        """The summary as strict JSON; the same bytes for the same cohort."""
        return (json.dumps(self.summary(), indent=2, allow_nan=False) + "\n").encode()


def _counts(rows: Iterable[CohortRow]) -> dict[str, int]:
    labels = [row.label for row in rows]
    return {"patients": len(labels), "positives": sum(labels)}


def make_cohort(slides: Iterable[StoredSlide], labels: Labels, settings: SplitSettings) -> Cohort:
    """Join slides with labels and split the patients; the order of ``slides`` changes nothing.

    Raises:
        DataError: for a labelled slide that is absent or of the wrong size, an absent class, or too few patients.
    """
    classes = dict.fromkeys(settings.negative, 0) | dict.fromkeys(settings.positive, 1)
    labelled: list[tuple[StoredSlide, str, int]] = []
    left_out: dict[str, list[str]] = {}
    for slide in sorted(slides, key=lambda slide: slide.slide_id):
        patient, label, reason = _classify(slide.slide_id, labels, classes)
        if reason:
            left_out.setdefault(reason, []).append(slide.slide_id)
        else:
            labelled.append((slide, patient, label))
    _check_files([slide for slide, _, _ in labelled])
    folds = split_patients({patient: label for _, patient, label in labelled}, settings)
    rows = [_row(slide, patient, label, folds[patient], labels) for slide, patient, label in labelled]
    names = (" or ".join(settings.negative), " or ".join(settings.positive))
    return Cohort(tuple(rows), names, {reason: tuple(ids) for reason, ids in sorted(left_out.items())})


def _classify(slide_id: str, labels: Labels, classes: dict[str, int]) -> tuple[str, int, str]:
    """A slide's patient and class, or the reason why it is left out."""
    patient = _patient(slide_id, labels)
    value = labels.patients.get(patient or "")
    if kind := not_primary(slide_id):
        reason = f"{kind}, not the primary tumour"
    elif patient not in labels.patients:
        reason = NOT_IN_TABLE
    elif value is None:
        reason = LABEL_MISSING
    elif value not in classes:
        reason = f"label {value} is neither positive nor negative"
    else:
        return patient, classes[value], ""
    return "", 0, reason


def _row(slide: StoredSlide, patient: str, label: int, fold: int | None, labels: Labels) -> CohortRow:
    site = site_of(slide.slide_id) or labels.sites.get(slide.slide_id) or labels.sites.get(patient, "")
    return CohortRow(
        slide_id=slide.slide_id,
        patient_id=patient,
        site=site,
        slide_uri=str(slide.uri),
        bytes=slide.bytes or 0,
        md5=slide.md5,
        mpp=labels.mpps.get(slide.slide_id, labels.mpps.get(patient)),
        label=label,
        split="test" if fold is None else "train",
        fold=fold,
    )


def _patient(slide_id: str, labels: Labels) -> str | None:
    """Whose slide it is: by barcode, by the table's slide column, or by the longest patient id that the name starts with."""
    if barcode := patient_of(slide_id):
        return barcode
    if slide_id in labels.slides:
        return labels.slides[slide_id]
    ends = [end for end in range(len(slide_id), 0, -1) if end == len(slide_id) or slide_id[end] in SEPARATORS]
    return next((slide_id[:end] for end in ends if slide_id[:end] in labels.patients), None)


def _check_files(slides: list[StoredSlide]) -> None:
    absent = [slide for slide in slides if slide.bytes is None]
    if absent:
        first = ", ".join(str(slide.uri) for slide in absent[:5])
        raise DataError(
            f"{len(absent)} of {len(slides)} labelled slides of the manifest are not there: {first}"
            f"{', …' if len(absent) > 5 else ''}: download them, or correct the setting 'slides'"
        )
    for slide in slides:
        slide.check()


def describe(cohort: Cohort) -> str:
    """A few lines to read in a log."""
    patients = {row.patient_id: row for row in cohort.rows}
    lines = []
    for split in ("train", "test"):
        labels = [row.label for row in patients.values() if row.split == split]
        lines.append(f"{split:<6}{len(labels):>5} patients, {sum(labels)} positive ({np.mean(labels):.0%})")
    sites = Counter(row.site for row in patients.values())
    total = sum(row.bytes for row in cohort.rows)
    lines.append(f"cohort{len(patients):>5} patients, {len(cohort.rows)} slides, {total / 2**30:.1f} GiB, {len(sites)} sites")
    for reason, names in cohort.left_out.items():
        examples = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        lines.append(f"left out: {len(names)} slides ({reason}): {examples}")
    return "\n".join(lines)
