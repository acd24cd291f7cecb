"""The cohort: labelled slides of primary tumours, split by patient. Splits are made here and nowhere else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from pathology.contracts.errors import DataError
from pathology.contracts.settings_msi import PrepareMsi
from pathology.contracts.tables import CohortRow
from pathology.datasets.labels import Labels
from pathology.datasets.slides import StoredSlide
from pathology.datasets.tcga import not_primary, patient_of, site_of

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


def make_cohort(slides: Iterable[StoredSlide], labels: Labels, settings: PrepareMsi) -> Cohort:
    """Join slides with labels and split the patients; the order of ``slides`` changes nothing.

    Raises:
        DataError: for a labelled slide that is absent or of the wrong size, an absent class, or too few patients.
    """
    classes = dict.fromkeys(settings.negative, 0) | dict.fromkeys(settings.positive, 1)
    taken: list[tuple[StoredSlide, str, int]] = []
    left_out: dict[str, list[str]] = {}
    for slide in sorted(slides, key=lambda slide: slide.slide_id):
        patient, label, reason = _place(slide.slide_id, labels, classes)
        if reason:
            left_out.setdefault(reason, []).append(slide.slide_id)
        else:
            taken.append((slide, patient, label))
    _check_files([slide for slide, _, _ in taken])
    places = split_patients({patient: label for _, patient, label in taken}, settings)
    rows = [_row(slide, patient, label, places[patient], labels) for slide, patient, label in taken]
    names = (" or ".join(settings.negative), " or ".join(settings.positive))
    return Cohort(tuple(rows), names, {reason: tuple(ids) for reason, ids in sorted(left_out.items())})


def _place(slide_id: str, labels: Labels, classes: dict[str, int]) -> tuple[str, int, str]:
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


def split_patients(patients: dict[str, int], settings: PrepareMsi) -> dict[str, int | None]:
    """Each patient's fold, None for the test set: stratified by label, seeded, whatever the order of ``patients``.

    Raises:
        DataError: when a class is absent, or has too few patients for every fold and the test set.
    """
    from sklearn.model_selection import StratifiedKFold, train_test_split

    names = np.array(sorted(patients))
    truth = np.array([patients[name] for name in names], dtype=int)
    _check_classes(truth, settings)
    try:
        train, test = train_test_split(
            np.arange(len(names)), test_size=settings.test_fraction, random_state=settings.seed, stratify=truth
        )
    except ValueError as error:  # scikit-learn's own words name the sizes that do not fit
        raise DataError(f"{len(names)} patients cannot be split with test-fraction {settings.test_fraction}: {error}") from None
    train, test = np.sort(train), np.sort(test)
    fewest = int(np.bincount(truth[train], minlength=2).min())
    if fewest < settings.folds or len(set(truth[test])) < 2:
        raise _too_few(truth, settings)
    folds: dict[str, int | None] = {str(name): None for name in names[test]}
    splitter = StratifiedKFold(settings.folds, shuffle=True, random_state=settings.seed)
    for fold, (_, held_out) in enumerate(splitter.split(train, truth[train])):
        folds |= {str(name): fold for name in names[train][held_out]}
    return folds


def _check_classes(truth: np.ndarray, settings: PrepareMsi) -> None:
    positives = int(truth.sum())
    for name, values, count in (
        ("positive", settings.positive, positives),
        ("negative", settings.negative, len(truth) - positives),
    ):
        if count == 0:
            raise DataError(
                f"no patient with a slide is {name} ({', '.join(values)}) among {len(truth)} with a label: "
                f"check the label table's values, the settings 'positive' and 'negative', and that table and slides match"
            )
    if min(positives, len(truth) - positives) < settings.folds + 1:
        raise _too_few(truth, settings)


def _too_few(truth: np.ndarray, settings: PrepareMsi) -> DataError:
    positives = int(truth.sum())
    return DataError(
        f"{positives} positive and {len(truth) - positives} negative patients are too few for {settings.folds} folds and a test "
        f"fraction of {settings.test_fraction}: add patients, or lower 'folds' or 'test-fraction'"
    )


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
