"""What a label table says: whose slides are whose, and what each patient's label is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from pathology.contracts.identifiers import normal


class LabelSettings(Protocol):
    """What says how a label table is to be read; all are read only."""

    @property
    def patient_column(self) -> str | None: ...
    @property
    def slide_column(self) -> str | None: ...
    @property
    def label_column(self) -> str | None: ...
    @property
    def split_column(self) -> str | None: ...
    @property
    def takes_split(self) -> bool: ...
    @property
    def sheet(self) -> str | None: ...
    @property
    def project(self) -> str | None: ...
    @property
    def one_slide_per_patient(self) -> bool: ...


@dataclass(frozen=True)
class Patient:
    """A patient of the table: the id as first written, the label and the split as written, "" where missing."""

    patient_id: str
    label: str
    split: str


@dataclass(frozen=True)
class Labels:
    """What a table says. Patients and slides are known by the normal form of their ids.

    ``slides`` maps each listed slide to its patient and ``written`` to its name; ``paths`` maps what its cell says, with folders and
    extension, to the slide, and ``stems`` a name without them to the slides that have it: several where folders tell them apart.
    ``whole`` are patients of whom every slide is meant, since a row names them without a slide. ``sites``, ``mpps`` and ``masks`` map
    a slide, or a patient where a row names no slide.
    ``problems`` forbid a cohort; ``warnings`` and ``notes`` are to be said.
    """

    where: str
    patients: dict[str, Patient]
    slides: dict[str, str]
    written: dict[str, str]
    whole: frozenset[str]
    sites: dict[str, str]
    mpps: dict[str, float]
    masks: dict[str, str]
    columns: dict[str, str | None]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    paths: dict[str, str] = field(default_factory=dict)
    stems: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def values(self) -> dict[str, int]:
        """The labels that the table has, with how many patients have each; "" for none."""
        return dict(sorted(Counter(patient.label for patient in self.patients.values()).items()))


def path_key(text: str) -> str:
    """A path of either kind as paths are compared."""
    return normal(text.replace("\\", "/"))
