"""The label table: csv or xlsx, by patient or by slide, read as text so that nothing turns silently into something else."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pathology.cohort.tcga import patient_of
from pathology.contracts.errors import DataError

PATIENT_COLUMNS = ("TCGA Participant Barcode", "patient_id")
LABEL_COLUMNS = ("MSI Status", "label")
PROJECT_COLUMN = "TCGA Project Code"
LIU_SHEET = "Master Patient Table"
"""Names of Liu et al. 2018 (Cancer Cell 33:721), supplementary table, first; then the plain ones."""

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null"})
"""What stands for a missing value, in lower case. Liu et al. write the string ``NA``."""

SLIDE_SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide")


def strip_slide_suffix(name: str) -> str:
    """The file name without a slide's extension: the slide's id."""
    path = Path(name)
    return path.stem if path.suffix.lower() in SLIDE_SUFFIXES else name


class LabelSettings(Protocol):
    """What says how a label table is to be read; all are read only."""

    @property
    def patient_column(self) -> str | None: ...
    @property
    def label_column(self) -> str | None: ...
    @property
    def project(self) -> str | None: ...


@dataclass(frozen=True)
class Labels:
    """Labels as written in the table.

    ``patients`` maps a patient to its label, None where it is missing; ``slides`` a slide to its patient, for tables that
    have a ``slide_id`` column; ``sites`` and ``mpps`` map a slide, or a patient where there is no slide column.
    """

    patients: dict[str, str | None] = field(default_factory=dict)
    slides: dict[str, str] = field(default_factory=dict)
    sites: dict[str, str] = field(default_factory=dict)
    mpps: dict[str, float] = field(default_factory=dict)


def read_labels(path: Path, settings: LabelSettings) -> Labels:
    """Read a label table; rows of other projects than ``settings.project`` are skipped where the table has projects.

    Raises:
        DataError: naming the missing column, the line, or the patient that is duplicated in conflict.
    """
    header, rows = _read(path)
    names = {column: number for number, column in enumerate(header)}
    patient = _column(settings.patient_column, PATIENT_COLUMNS, header, path, "patient", required="slide_id" not in names)
    label = _column(settings.label_column, LABEL_COLUMNS, header, path, "label", required=True)
    labels = Labels()
    for line, values in rows:
        row = dict(zip(header, values, strict=True))
        if settings.project is not None and row.get(PROJECT_COLUMN, settings.project) != settings.project:
            continue
        _add(labels, row, row[patient] if patient else "", _present(row[label or ""]), f"{path.name}, line {line}")
    if not labels.patients:
        project = f" of project {settings.project}" if PROJECT_COLUMN in names else ""
        raise DataError(f"{path.name} has no row{project}: check the table and the setting 'project'")
    return labels


def _add(labels: Labels, row: dict[str, str], patient: str, label: str | None, where: str) -> None:
    slide = strip_slide_suffix(row.get("slide_id", ""))
    patient = patient_of(patient or slide) or patient or slide
    if not patient:
        raise DataError(f"{where}: the row names no patient: fill it in or delete the row")
    known = labels.patients.get(patient)
    if known is not None and label is not None and known != label:
        raise DataError(f"{where}: patient {patient} is duplicated, as {known} and as {label}: keep the right one")
    labels.patients[patient] = known if label is None else label
    if slide and labels.slides.setdefault(slide, patient) != patient:
        raise DataError(f"{where}: slide {slide} belongs to {labels.slides[slide]} and to {patient}: keep the right one")
    key = slide or patient
    if site := _present(row.get("site", "")):
        labels.sites[key] = site
    if mpp := _present(row.get("mpp", "")):
        value = _mpp(mpp, where)
        if labels.mpps.setdefault(key, value) != value:
            raise DataError(f"{where}: {key} has two values of mpp, {labels.mpps[key]} and {value}: keep the right one")


def _mpp(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.01 < value < 100:
        raise DataError(f"{where}: mpp {text!r} is not a number of µm per pixel: correct it or leave it empty")
    return value


def _present(text: str) -> str | None:
    return None if text.lower() in MISSING else text


def _column(
    wanted: str | None, usual: tuple[str, ...], header: list[str], path: Path, kind: str, *, required: bool
) -> str | None:
    candidates = (wanted,) if wanted else usual
    for name in candidates:
        if name in header:
            return name
    if wanted is None and not required:
        return None
    raise DataError(
        f"{path.name} has no {kind} column {' or '.join(map(repr, candidates))}, only {', '.join(map(repr, header[:20]))}"
        f"{', …' if len(header) > 20 else ''}: name it with '{kind}-column'"
    )


Lines = Iterable[tuple[int, list[str]]]


def _read(path: Path) -> tuple[list[str], Lines]:
    """The header, and (line number, values) of every row that is not blank; all values stripped text."""
    match path.suffix.lower():
        case ".xlsx":
            table = _workbook(path)
        case ".csv" | ".tsv" | ".txt":
            table = _text(path)
        case _:
            raise DataError(f"{path.name}: a label table is .csv, .tsv or .xlsx: save it as one of these")
    lines = ((number, [value.strip() for value in values]) for number, values in table)
    filled = [(number, values) for number, values in lines if any(values)]
    if not filled:
        raise DataError(f"{path.name}: the label table is empty")
    header = filled[0][1]
    while header and not header[-1]:
        header.pop()
    duplicates = {name for name in header if name and header.count(name) > 1}
    if duplicates:
        raise DataError(f"{path.name} has the column {sorted(duplicates)[0]!r} twice: rename or delete one")
    return header, [(number, _fit(values, header, path, number)) for number, values in filled[1:]]


def _fit(values: list[str], header: list[str], path: Path, number: int) -> list[str]:
    if any(values[len(header) :]):
        raise DataError(f"{path.name}, line {number}: {len(values)} values under {len(header)} columns: quote the separators")
    return [*values[: len(header)], *[""] * (len(header) - len(values))]


def _text(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 text (byte {error.start}): save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",\t;", key=first.count))
    try:
        for values in reader:
            yield reader.line_num, values
    except csv.Error as error:
        raise DataError(f"{path.name}, line {reader.line_num}: {error}") from None


def _workbook(path: Path) -> Iterator[tuple[int, list[str]]]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise DataError(f"{path.name} is not an xlsx workbook ({error}): save it again as xlsx or csv") from None
    try:
        sheet = book[LIU_SHEET] if LIU_SHEET in book.sheetnames else book.worksheets[0]
        for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            yield number, [_cell(value) for value in values]
    finally:
        book.close()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
