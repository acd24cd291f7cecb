"""Reads the label table: by patient or by slide, under the names that people use; what contradicts itself is found here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pathology.cohort import columns
from pathology.cohort.columns import Kind, candidates, find_column
from pathology.cohort.formats import strip_slide_suffix
from pathology.cohort.labels import Labels, LabelSettings, Patient, path_key
from pathology.cohort.table import Table, read_table
from pathology.cohort.tcga import patient_of
from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import MAX_LENGTH, column_key, fault, normal, printable, skeleton
from pathology.contracts.settings import COARSEST_MPP, FINEST_MPP

LIU_SHEET = "Master Patient Table"
"""Of Liu et al. 2018 (Cancer Cell 33:721), supplementary table."""

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "-", "--", "?", "[not available]"})
"""What stands for a missing value, in lower case. Liu et al. write the string ``NA``."""

NAMED = 5
"""Lines, names and spellings that an error shows before it only counts."""
MAGNIFICATIONS = frozenset({5.0, 10.0, 20.0, 40.0, 60.0, 63.0, 80.0, 100.0})
"""Powers of objectives: a scale so coarse would show no cell."""
_ENTRIES = ("patient", "slide", "label", "split", "site", "mpp", "mask")


MAX_SLIDE_NAME = 255
"""Characters of a slide's name: what file systems take."""


def read_labels(path: Path, settings: LabelSettings) -> Labels:
    """Read a label table; rows of other projects than ``settings.project`` are skipped where the table has projects.

    Raises:
        DataError: for a table that cannot be read, a column that cannot be found, or no row.
    """
    table = _find_table(path, settings)
    roles = {
        "patient": find_column(table, columns.PATIENT, settings.patient_column),
        "slide": find_column(table, columns.SLIDE, settings.slide_column),
        "label": find_column(table, columns.LABEL, settings.label_column),
        "split": find_column(table, columns.SPLIT, settings.split_column) if settings.takes_split else None,
        "site": find_column(table, columns.SITE),
        "mpp": find_column(table, columns.MPP),
        "mask": find_column(table, columns.MASK),
    }
    missing = [
        columns.missing(table, kind, {role: roles[role] for role in ("patient", "slide", "label")})
        for kind in _lacking(roles, settings)
    ]
    if missing:
        raise DataError("; ".join(missing))
    rows, notes = _of_project(table, settings.project)
    return _Reading(table, rows, roles, settings).labels((*table.notes, *notes))


def _find_table(path: Path, settings: LabelSettings) -> Table:
    wanted = [settings.patient_column, settings.label_column, settings.slide_column]

    def suits(header: list[str]) -> bool:
        if any(wanted):
            return all(column_key(name) in map(column_key, header) for name in wanted if name)
        named = candidates(header, columns.PATIENT) or candidates(header, columns.SLIDE)
        return bool(named and candidates(header, columns.LABEL))

    return read_table(path, suits, settings.sheet, preferred=LIU_SHEET)


def _lacking(roles: dict[str, str | None], settings: LabelSettings) -> list[Kind]:
    lacking = [columns.PATIENT] if roles["patient"] is None and roles["slide"] is None else []
    lacking += [columns.LABEL] if roles["label"] is None else []
    return lacking + ([columns.SPLIT] if settings.takes_split and roles["split"] is None else [])


def _of_project(table: Table, project: str | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    column = next((name for name in table.header if column_key(name) == column_key("TCGA Project Code")), None)
    if column is None or project is None:
        if table.rows.empty:
            raise DataError(f"{table.where} has a header and no row: check the table")
        return table.rows, ()
    wanted = {normal(project), f"tcga-{normal(project)}"}
    own = table.rows[column].map(normal).isin(wanted)
    if not own.any():
        raise DataError(
            f"{table.where} has no row of project {project}, only of {columns.shown(sorted(set(table.rows[column])))}: "
            "correct the setting 'project' (Project)"
        )
    notes = (f"{int((~own).sum())} rows of other projects than {project} are not read",) if not own.all() else ()
    return table.rows[own], notes


class _Reading:
    """One table on its way to :class:`Labels`: entries with normal forms, and what is wrong with them."""

    def __init__(self, table: Table, rows: pd.DataFrame, roles: dict[str, str | None], settings: LabelSettings) -> None:
        self.table, self.where, self.roles, self.settings = table, table.where, roles, settings
        self.problems: list[str] = []
        self.warnings: list[str] = []
        cells = {name: rows[column] if (column := roles[name]) else "" for name in _ENTRIES}
        self.entries = pd.DataFrame(cells, index=rows.index)
        self.entries["path"] = self.entries["slide"].map(path_key)
        self.entries["slide"] = self.entries["slide"].map(strip_slide_suffix)
        self.entries["label"] = self.entries["label"].map(lambda text: "" if text.lower() in MISSING else text)

    def labels(self, notes: tuple[str, ...]) -> Labels:
        """Resolve patients, hold the rows against one another, and gather what they say."""
        entries = self.entries
        self._check_ids("patient")
        self._check_ids("slide")
        self._check_barcodes()
        entries["patient"] = [patient_of(text) or text for text in entries["patient"]]
        entries["patient"] = entries["patient"].where(
            entries["patient"] != "", entries["slide"].map(lambda name: patient_of(name) or "")
        )
        self._check_named()
        self._check_own_patients()
        entries["stem"] = entries["slide"].map(normal)
        entries["slide_key"] = _slide_keys(entries)
        entries["slide"] = entries["slide"].where(entries["slide_key"] == entries["stem"], entries["path"])
        # A slide of nobody stands for a patient of its own: as asked for, or so that what else is wrong is found as well.
        entries["patient"] = entries["patient"].where(entries["patient"] != "", entries["slide"])
        entries = self.entries = entries[entries["patient"] != ""]
        entries = self.entries = entries.assign(patient_key=entries["patient"].map(normal))
        self._check_spellings()
        self._check_agreement("patient", "patient_key", "label")
        self._check_agreement("patient", "patient_key", "split")
        self._check_agreement("slide", "slide_key", "patient")
        listed = entries[entries["slide"] != ""]
        keys = entries["slide_key"].where(entries["slide_key"] != "", entries["patient_key"])
        return Labels(
            where=self.where,
            patients={str(key): self._entry(group) for key, group in entries.groupby("patient_key", sort=True)},
            slides=dict(zip(listed["slide_key"], listed["patient_key"], strict=True)),
            written=dict(zip(listed["slide_key"], listed["slide"], strict=True)),
            whole=frozenset(entries.loc[entries["slide"] == "", "patient_key"]),
            sites={key: site for key, site in zip(keys, entries["site"], strict=True) if site.lower() not in MISSING},
            mpps=self._mpps(keys),
            masks=self._masks(keys),
            columns=self.roles,
            notes=notes,
            warnings=tuple(self.warnings),
            problems=tuple(dict.fromkeys(self.problems)),
            paths=dict(zip(listed["path"], listed["slide_key"], strict=True)),
            stems={str(stem): tuple(dict.fromkeys(group)) for stem, group in listed.groupby("stem")["slide_key"]},
        )

    @staticmethod
    def _entry(group: pd.DataFrame) -> Patient:
        def first(column: str) -> str:
            return next((value for value in group[column] if value), "")

        return Patient(str(group["patient"].iloc[0]), first("label"), first("split"))

    def _check_barcodes(self) -> None:
        """A slide's barcode and its row's must name one patient."""
        for line, patient, slide in zip(self.entries.index, self.entries["patient"], self.entries["slide"], strict=True):
            one, other = patient_of(patient), patient_of(slide)
            if one and other and normal(one) != normal(other):
                self.problems.append(
                    f"{self.where}, line {line}: slide {printable(slide)} is of patient {other} by its barcode and of {one} by its row: "
                    "correct one of them"
                )

    def _check_ids(self, role: str) -> None:
        limit = MAX_SLIDE_NAME if role == "slide" else MAX_LENGTH
        faults = self.entries[role].map(lambda text: fault(text, limit) if text else "")
        for line, reason in faults[faults != ""].items():
            self.problems.append(
                f"{self.where}, line {line}: {role} {printable(str(self.entries.at[line, role]))} {reason}: correct it"
            )

    def _check_named(self) -> None:
        nobodys = self.entries[self.entries["patient"] == ""]
        if self.settings.one_slide_per_patient and (nobodys["slide"] != "").any():
            self.warnings.append(
                "each slide without a patient counts as a patient of its own ('one-slide-per-patient'): two slides of one person "
                "would be on both sides of the split"
            )
            nobodys = nobodys[nobodys["slide"] == ""]
        lines = list(nobodys.index)
        if not lines:
            return
        remedy = "or, where every slide is of another patient, set 'one-slide-per-patient' (OneSlidePerPatient) to true"
        if self.roles["patient"]:
            self.problems.append(f"{self.where}: {_lines(lines)} no patient in {self.roles['patient']!r}: fill them in, {remedy}")
        else:
            missing = columns.missing(self.table, columns.PATIENT, {role: self.roles[role] for role in ("slide", "label")})
            self.problems.append(f"{missing}, {remedy}")

    def _check_own_patients(self) -> None:
        """A slide's name that stands for a patient is no longer than a patient's id may be."""
        own = self.entries[(self.entries["patient"] == "") & (self.entries["slide"].map(len) > MAX_LENGTH)]
        for line, name in own["slide"].items():
            self.problems.append(
                f"{self.where}, line {line}: slide {printable(name)} has {len(name)} characters, more than a patient's {MAX_LENGTH}: "
                "give it a patient"
            )

    def _check_spellings(self) -> None:
        """Two spellings of one id are one patient, and said; two ids that only look alike are refused."""
        written = self.entries.groupby("patient_key")["patient"].unique()
        several = written[written.map(len) > 1]
        if len(several):
            examples = "; ".join(" and ".join(map(ascii, spellings[:2])) for spellings in several[:NAMED])
            more = "; …" if len(several) > NAMED else ""
            self.warnings.append(
                f"{len(several)} patients are spelt in more than one way and taken as one each: {examples}{more}"
            )
        alike = pd.Series({key: skeleton(spellings[0]) for key, spellings in written.items()}, dtype=str)
        for _, keys in alike.groupby(alike):
            if len(keys) > 1:
                first, second = (f"{written[key][0]} ({written[key][0]!a})" for key in keys.index[:2])
                self.problems.append(f"{self.where}: patients {first} and {second} look alike and differ: correct one of them")

    def _check_agreement(self, what: str, key: str, value: str) -> None:
        """Rows of one ``what`` that differ in ``value`` are a problem, with both values and the later row's line."""
        rows = self.entries[(self.entries[value] != "") & (self.entries[what] != "")]
        seen: dict[str, tuple[str, str]] = {}
        for line, name, written, text in zip(rows.index, rows[key], rows[what], rows[value], strict=True):
            other = seen.setdefault(name, (text, written))
            if normal(other[0]) != normal(text):
                spelt = "" if other[1] == written else f" (spelt {other[1]!a} and {written!a})"
                self.problems.append(
                    f"{self.where}, line {line}: {what} {printable(written)}{spelt} is duplicated, as {printable(other[0])} and as "
                    f"{printable(text)}: keep the right one"
                )

    def _masks(self, keys: pd.Series) -> dict[str, str]:
        found: dict[str, str] = {}
        for line, key, text in zip(keys.index, keys, self.entries["mask"], strict=True):
            if text.lower() not in MISSING and found.setdefault(key, text) != text:
                self.problems.append(f"{self.where}, line {line}: {printable(key)} has two masks: keep the right one")
        return found

    def _mpps(self, keys: pd.Series) -> dict[str, float]:
        found: dict[str, float] = {}
        for line, key, text in zip(keys.index, keys, self.entries["mpp"], strict=True):
            if text.lower() in MISSING:
                continue
            value = _mpp(text)
            if value is None:
                self.problems.append(
                    f"{self.where}, line {line}: mpp {printable(text)!r} is {_no_mpp(text)}: correct it or leave it empty"
                )
            elif found.setdefault(key, value) != value:
                self.problems.append(
                    f"{self.where}, line {line}: {printable(key)} has two values of mpp, {found[key]} and {value}: keep the right one"
                )
        return found


def _slide_keys(entries: pd.DataFrame) -> pd.Series:
    """A slide's name; where the table has the name under several paths, each path is a slide of its own."""
    stem, path = entries["stem"], entries["path"]
    paths = path[path != stem].groupby(stem).nunique()
    return path.where(stem.isin(paths.index[paths > 1]), stem)


def _mpp(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if FINEST_MPP <= value <= COARSEST_MPP and value not in MAGNIFICATIONS else None


def _no_mpp(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return "not a number of µm per pixel"
    if value in MAGNIFICATIONS:
        return f"a magnification, which is about {10 / value:g} µm per pixel"
    return f"no scanner's: from {FINEST_MPP:g} to {COARSEST_MPP:g} µm per pixel there are slides"


def _lines(lines: Iterable[object]) -> str:
    numbers = list(lines)
    if len(numbers) == 1:
        return f"line {numbers[0]} has"
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"lines {', '.join(map(str, numbers[:NAMED]))}{more} have"
