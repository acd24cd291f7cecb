"""A batch of slides without labels: whose each slide is, and what of all that was found is not in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pathology.cohort.join import PICTURE
from pathology.cohort.slides import StoredSlide, find_slides
from pathology.cohort.tcga import kinds_of, patient_of
from pathology.cohort.unlabelled import (
    Listed,
    find_listed,
    is_table,
    key,
    names_of,
    other_files,
    read_listed,
    with_ids,
)
from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import printable
from pathology.contracts.msi.batch import Batch, LeftOut, PatientBy, PatientSlide
from pathology.contracts.msi.prepare_slides import PrepareSlidesMsiJob
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri
from pathology.prepared import Inputs

NOT_IN_TABLE = "not in the table of patients"
SHOWN = 3


@dataclass(frozen=True)
class FoundBatch:
    """The slides of a batch with whose they are, side by side; ``scales`` are a table's, by the slide's name there."""

    slides: tuple[StoredSlide, ...]
    patients: tuple[tuple[str, PatientBy], ...]
    scales: dict[str, float]
    batch: Batch

    def lines(self) -> list[str]:
        """For a log."""
        by = ", ".join(f"{count} by {'themselves' if by == 'slide' else by}" for by, count in self.batch.patient_by.items())
        lines = [f"{self.batch.slides} slides of {self.batch.patients} patients ({by})"]
        reasons = Counter(one.reason for one in self.batch.left_out)
        lines += [f"left out: {count} {reason}" for reason, count in sorted(reasons.items())]
        return lines + [f"warning: {warning}" for warning in self.batch.warnings]


def find_batch(store: Store, settings: PrepareSlidesMsiJob, scratch: Path) -> FoundBatch:
    """The slides that ``settings`` name, each with its patient: as a table says, else by its TCGA barcode, else a patient of its own.

    Raises:
        DataError: when there is no slide, or a table cannot be read or contradicts itself.
    """
    inputs, root = Inputs(store, scratch), Uri.parse(settings.slides)
    warnings: list[str] = []
    tables: list[Listed] = []
    if settings.patients:
        path = inputs.file("patients", settings.patients)
        with inputs.named_by_uri():
            tables.append(read_listed(path, patients=True))
    if is_table(root):
        path = inputs.file("slides", settings.slides)
        with inputs.named_by_uri():
            tables.append(read_listed(path, patients=False))
        found, gone = find_listed(store, tables[-1], root.parent)
        if not found.slides:
            raise DataError(
                f"{root}: none of the {len(gone)} slides that it names is there, the first is {gone[0]}: correct the table"
            )
        left_out = [LeftOut(name=name, reason="named by the table and not there") for name in gone]
    else:
        found = find_slides(store, root, None)
        left_out = [LeftOut(name=name, reason=reason) for name, reason in other_files(found)]
    chosen: list[StoredSlide] = []
    for slide in with_ids(found.slides):
        reason = _unwanted(slide, settings, tables, pictures=all(one.picture for one in found.slides))
        if reason:
            left_out.append(LeftOut(name=slide.path, reason=reason))
        else:
            chosen.append(slide)
    chosen.sort(key=lambda slide: slide.slide_id)
    if not chosen:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(Counter(one.reason for one in left_out).items()))
        raise DataError(f"{root}: none of the slides there is taken ({reasons}): correct the URI, the table or slide-kinds")
    _refuse_two_of_a_name(tables, chosen)
    patients = tuple(_patient(slide, tables) for slide in chosen)
    warnings += _alone(patients) + _without_slide(settings, tables, chosen)
    batch = Batch(
        slides_uri=str(root),
        patients_uri=settings.patients,
        slides=len(chosen),
        patients=len({name for name, _ in patients}),
        patient_by=dict(sorted(Counter(by for _, by in patients).items())),
        left_out=sorted(left_out, key=lambda one: (one.reason, one.name)),
        warnings=warnings,
    )
    scales = {name: mpp for table in reversed(tables) for name, mpp in table.mpps.items()}
    return FoundBatch(tuple(chosen), patients, scales, batch)


def _refuse_two_of_a_name(tables: list[Listed], slides: list[StoredSlide]) -> None:
    """A table's name that may be either of two slides would give one of them another's patient."""
    for table in tables:
        first: dict[str, StoredSlide] = {}
        for slide in slides:
            name = next((name for name in names_of(slide) if name in table.patients or name in table.mpps), None)
            if name is not None and (other := first.setdefault(name, slide)) is not slide:
                raise DataError(
                    f"{table.where}: {printable(name)} may be {other.uri} or {slide.uri}: write the slides with their folders"
                )


def _unwanted(slide: StoredSlide, settings: PrepareSlidesMsiJob, tables: list[Listed], *, pictures: bool) -> str:
    """Why a slide is not taken, or ""."""
    named = any(_in(table, slide) for table in tables)
    if settings.patients and tables[0].patients.keys().isdisjoint(names_of(slide)):
        return PICTURE if slide.picture and not pictures else NOT_IN_TABLE
    if slide.picture and not pictures and not named:
        return PICTURE
    unwanted = [kind for kind in kinds_of(slide.name) if kind not in settings.slide_kinds]
    return f"{unwanted[-1]}, not among 'slide-kinds'" if unwanted else ""


def _in(table: Listed, slide: StoredSlide) -> bool:
    return not {key(text) for text in table.slides}.isdisjoint(names_of(slide))


def _patient(slide: StoredSlide, tables: list[Listed]) -> tuple[str, PatientBy]:
    for table in tables:
        for name in names_of(slide):
            if name in table.patients:
                return table.patients[name], "table"
    barcode = patient_of(slide.name)
    return (barcode.upper(), "barcode") if barcode else (slide.slide_id, "slide")


def _alone(patients: tuple[tuple[str, PatientBy], ...]) -> list[str]:
    alone = [name for name, by in patients if by == "slide"]
    if not alone:
        return []
    return [
        f"{len(alone)} slides name no patient and each is taken for a patient of its own ({_few(alone)}): give PatientsUri a table with "
        "slide and patient where a patient has several"
    ]


def _without_slide(settings: PrepareSlidesMsiJob, tables: list[Listed], slides: list[StoredSlide]) -> list[str]:
    if not settings.patients:
        return []
    known = {name for slide in slides for name in names_of(slide)}
    absent = sorted(name for name in tables[0].patients if name not in known)
    return [f"{len(absent)} slides of the table of patients are not in the batch ({_few(absent)})"] if absent else []


def _few(names: list[str]) -> str:
    return ", ".join(map(printable, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def rows(found: FoundBatch, slide_ids: list[str]) -> list[PatientSlide]:
    """patients.csv, with the ids under which slides are extracted. A slide that is a patient of its own is named as its file is."""
    return [
        PatientSlide(
            slide_id=slide_id,
            patient_id=patient,
            patient_by=by,
            slide_uri=str(slide.uri),
            fault=" ".join(slide.fault().split()),
        )
        for slide, (patient, by), slide_id in zip(found.slides, found.patients, slide_ids, strict=True)
    ]
