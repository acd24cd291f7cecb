"""Slides and labels side by side: what fits, and where everything else was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pathology.cohort.columns import LABEL
from pathology.cohort.labels import Labels, LabelSettings
from pathology.cohort.listed import match_listed
from pathology.cohort.nearest import nearest
from pathology.cohort.slides import HIDDEN, FoundSlides, StoredSlide
from pathology.cohort.split import Places, SplitSettings
from pathology.cohort.tcga import kinds_of, patient_of, site_of
from pathology.contracts.cohort import CohortRow
from pathology.contracts.cohort_flow import FOUND, LABELLED, MATCHED, CohortFlow, FlowStep, Loss
from pathology.contracts.identifiers import normal, printable

NOT_IN_TABLE = "not in the label table"
NOT_LISTED = "not among the slides that the label table lists"
LABEL_MISSING = "label missing in the table"
PICTURE = "pictures (PNG, JPEG) beside slides, which the label table does not list"
NEARLY = "named nearly as in the table"
SEPARATORS = frozenset("-_. ")
SHOWN = 3


class CohortSettings(SplitSettings, LabelSettings, Protocol):
    """What decides a cohort; all are read only."""

    @property
    def positive(self) -> tuple[str, ...]: ...
    @property
    def negative(self) -> tuple[str, ...]: ...
    @property
    def slide_kinds(self) -> tuple[str, ...]: ...
    @property
    def max_left_out_fraction(self) -> float: ...


class Join:
    """Slides and labels side by side: what fits, and where everything else was lost."""

    def __init__(self, found: FoundSlides, labels: Labels, settings: CohortSettings) -> None:
        self.found, self.labels, self.settings = found, labels, settings
        self.classes = {normal(value): 0 for value in settings.negative} | {normal(value): 1 for value in settings.positive}
        losses: dict[str, dict[str, list[str]]] = {FOUND: {}, MATCHED: {}, LABELLED: {}}
        matched: list[tuple[StoredSlide, str]] = []
        self.listed, self.unclear = match_listed(found.slides, labels)
        # Where there are slides, a picture that nobody lists is a thumbnail or a photograph of a label.
        self.only_pictures = all(slide.picture for slide in found.slides)
        for slide in found.slides:
            unwanted = [kind for kind in kinds_of(slide.name) if kind not in settings.slide_kinds]
            patient = self._patient(slide)
            if slide.picture and patient is None and not self.only_pictures:
                losses[MATCHED].setdefault(PICTURE, []).append(slide.path)
            elif unwanted:
                losses[MATCHED].setdefault(f"{unwanted[-1]}, not among 'slide-kinds'", []).append(slide.shown)
            elif patient is None:
                reason = NOT_LISTED if labels.slides and not labels.whole else NOT_IN_TABLE
                losses[MATCHED].setdefault(reason, []).append(slide.shown)
            else:
                matched.append((slide, patient))
        self.unmatched = [name for reason in (NOT_LISTED, NOT_IN_TABLE) for name in losses[MATCHED].get(reason, [])]
        self.near = self._near(matched)
        self.labelled: list[tuple[StoredSlide, str]] = []
        for slide, patient in matched:
            label = labels.patients[patient].label
            if normal(label) in self.classes:
                self.labelled.append((slide, patient))
            else:
                reason = f"label {printable(label)} is neither positive nor negative" if label else LABEL_MISSING
                losses[LABELLED].setdefault(reason, []).append(slide.shown)
        self.matched = matched
        self.truth = {
            labels.patients[patient].patient_id: self.classes[normal(labels.patients[patient].label)]
            for _, patient in self.labelled
        }
        self.flow = self._flow(losses)

    def _patient(self, slide: StoredSlide) -> str | None:
        """Whose slide it is: as the table lists it, else by barcode or by the longest patient id that its name starts with, among
        patients whom the table names without a slide."""
        if slide.slide_id in self.listed:
            return self.labels.slides[self.listed[slide.slide_id]]
        if slide.picture and not self.only_pictures:
            return None
        key = normal(slide.name)
        if barcode := patient_of(slide.name):
            return normal(barcode) if normal(barcode) in self.labels.whole else None
        ends = [end for end in range(len(key), 0, -1) if end == len(key) or key[end] in SEPARATORS]
        return next((key[:end] for end in ends if key[:end] in self.labels.whole), None)

    def _near(self, matched: Sequence[tuple[StoredSlide, str]]) -> dict[str, str]:
        """Slides that match nothing, with the name in the table, of a slide or patient without a file, that they nearly have."""
        there = {*self.listed.values(), *(normal(slide.name) for slide, _ in matched), *map(normal, self._lost_otherwise())}
        known = [name for key, name in self.labels.written.items() if key not in there]
        owners = {patient for _, patient in matched}
        known += [self.labels.patients[key].patient_id for key in self.labels.whole if key not in owners]
        return nearest(self.unmatched, known)

    def _lost_otherwise(self) -> list[str]:
        return [
            slide.name
            for slide in self.found.slides
            if any(kind not in self.settings.slide_kinds for kind in kinds_of(slide.name))
        ]

    def _flow(self, losses: Mapping[str, Mapping[str, list[str]]]) -> CohortFlow:
        unread = [
            Loss.of(f"{kind} files, a format that is not read", names, unexpected=True)
            for kind, names in self.found.not_read.items()
        ]
        hidden = [Loss.of(HIDDEN, self.found.hidden)] if self.found.hidden else []
        near = [f"{name} (the table has {printable(other)})" for name, other in self.near.items()]
        unmatched = {
            reason: rest for reason, names in losses[MATCHED].items() if (rest := [n for n in names if n not in self.near])
        }
        lost = [*([Loss.of(NEARLY, near, unexpected=True)] if near else []), *(Loss.of(*item) for item in unmatched.items())]
        owners = {patient for _, patient in self.matched}
        absent = sorted(
            patient.patient_id for key, patient in self.labels.patients.items() if key not in owners and patient.label
        )
        return CohortFlow(
            steps=[
                FlowStep(name=FOUND, slides=self.found.count),
                FlowStep(name=MATCHED, slides=len(self.matched), patients=len(owners), lost=[*unread, *hidden, *lost]),
                FlowStep(
                    name=LABELLED,
                    slides=len(self.labelled),
                    patients=len(self.truth),
                    lost=[Loss.of(*item) for item in losses[LABELLED].items()],
                ),
            ],
            patients_without_slides=absent,
        )

    def value_problem(self) -> str:
        """Said when no patient of the table has a label of one of the classes: the values, and the settings that name them."""
        values = self.labels.values()
        of_class = {label: sum(n for value, n in values.items() if self.classes.get(normal(value)) == label) for label in (0, 1)}
        absent = [("positive", self.settings.positive)] if not of_class[1] else []
        absent += [("negative", self.settings.negative)] if not of_class[0] else []
        if not absent:
            return ""
        counted = [f"{printable(value) or 'missing'} ({count})" for value, count in list(values.items())[:20]]
        lacking = " and none is ".join(f"{name} ({', '.join(wanted)})" for name, wanted in absent)
        return (
            f"{self.labels.where}: no label in {self.labels.columns['label']!r} is {lacking}: the values are {' and '.join(counted)}: "
            "name those of class 1 with 'positive' (Positive) and those of class 0 with 'negative' (Negative), or the right column "
            f"with '{LABEL.setting}' ({LABEL.parameter})"
        )

    def name_problem(self) -> str:
        """Said when no slide belongs to the table: names of both sides, and what is nearest."""
        if self.matched or not self.unmatched:
            return ""
        near = "".join(f"; the nearest to {name} is {printable(other)}" for name, other in list(self.near.items())[:1])
        table = list(self.labels.written.values()) or [patient.patient_id for patient in self.labels.patients.values()]
        return (
            f"none of {len(self.found.slides)} slides is in {self.labels.where}: the slides are named {_few(self.unmatched)}, the table "
            f"names {_few(table)}{near}: make the names agree, or name the right column with "
            "'slide-column' (SlideColumn) or 'patient-column' (PatientColumn)"
        )

    def file_problems(self) -> list[str]:
        """Labelled slides whose files are absent, not whole, of another size than the manifest's, or two of one slide."""
        slides = [slide for slide, _ in self.labelled]
        absent = [str(slide.uri) for slide in slides if slide.bytes is None]
        problems = [slide.fault() for slide in slides if slide.bytes is not None and slide.fault()]
        if absent:
            first = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")
            problems.insert(
                0,
                f"{len(absent)} of {len(slides)} labelled slides of the manifest are not there: {first}: download them, or correct "
                "'slides' (SlidesUri)",
            )
        return [*self.unclear[:5], *self._twice()[:5], *problems[:5]]

    def _twice(self) -> list[str]:
        """Labelled slides of one name in one folder, which are one slide in two formats; those that the table lists are meant."""
        first: dict[str, StoredSlide] = {}
        twice = []
        for slide, _ in self.labelled:
            if slide.alone or slide.slide_id in self.listed:
                continue
            other = first.setdefault(slide.path.removesuffix(slide.uri.name) + normal(slide.name), slide)
            if other is not slide:
                twice.append(f"slide {slide.name} is duplicated, {other.uri} and {slide.uri}: delete one or rename it")
        return twice

    def name_warnings(self) -> list[str]:
        """Labelled slides of one name in several folders, and pictures without a scale."""
        shared = sorted(slide.path for slide, _ in self.labelled if not slide.alone and slide.slide_id not in self.listed)
        bare = [slide.shown for slide, patient in self.labelled if slide.picture and self._mpp(slide, patient) is None]
        warnings = []
        if shared:
            warnings.append(
                f"{len(shared)} slides have the name of another one in another folder and count each: {_few(shared)}: take copies out"
            )
        if bare:
            warnings.append(
                f"{len(bare)} pictures (PNG, JPEG) give no scale: {_few(bare)}: add their µm/px to the column 'mpp' of the table, or set "
                "'default-mpp' (DefaultMpp)"
            )
        return warnings

    def _mpp(self, slide: StoredSlide, patient: str) -> float | None:
        return self.labels.mpps.get(self.listed.get(slide.slide_id, normal(slide.name)), self.labels.mpps.get(patient))

    def row(self, slide: StoredSlide, patient: str, places: Places) -> CohortRow:
        """The slide's row of cohort.csv."""
        key, entry = self.listed.get(slide.slide_id, normal(slide.name)), self.labels.patients[patient]
        fold = places[entry.patient_id]
        return CohortRow(
            slide_id=slide.slide_id,
            patient_id=entry.patient_id,
            site=site_of(slide.name) or self.labels.sites.get(key) or self.labels.sites.get(patient, ""),
            kind=" ".join(kinds_of(slide.name)),
            slide_uri=str(slide.uri),
            bytes=slide.total_bytes,
            md5=slide.md5,
            mpp=self._mpp(slide, patient),
            label=self.truth[entry.patient_id],
            split="test" if fold is None else "train",
            fold=fold,
            mask_uri=self.labels.masks.get(key, self.labels.masks.get(patient, "")),
            name="" if slide.name == slide.slide_id else slide.name,
            companion=slide.companion.mark if slide.companion else "",
        )


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names[:SHOWN])) + (", …" if len(names) > SHOWN else "")
