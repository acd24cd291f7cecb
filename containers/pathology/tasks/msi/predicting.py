"""Patients of a batch, each asked of a model by its own code; a patient that fails is a row and no failed job."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pathology.asked import Objects
from pathology.contracts.cohort import SlideRow
from pathology.contracts.errors import DataError, PathologyError
from pathology.contracts.learned_from import Item
from pathology.contracts.media import GEOJSON, JSON
from pathology.contracts.msi.batch import PatientSlide
from pathology.contracts.msi.predict import Doubt, PatientResult, PredictMsi
from pathology.rerun.process import Answering, Question
from pathology.tasks.msi.asking import request

DEFAULT_MPP = "default"
"""The source of a scale, in slides.csv, that is the setting default-mpp."""


class NoModelError(PathologyError):
    """The model cannot be loaded, or the job's time is up: no matter of one patient."""


@dataclass(frozen=True)
class BatchPatient:
    """A patient's slides of the batch, and what became of those that were extracted, by id."""

    patient_id: str
    slides: tuple[PatientSlide, ...]
    states: dict[str, SlideRow]

    @property
    def ok(self) -> tuple[SlideRow, ...]:
        """Those with features, by id, as an evaluation orders them."""
        return tuple(row for _, row in sorted(self.states.items()) if row.status == "ok")

    @property
    def lost(self) -> list[tuple[str, str]]:
        """Slides that failed, with the reason."""
        faults = [(slide.slide_id, slide.fault) for slide in self.slides if slide.fault]
        return faults + [(name, row.reason) for name, row in sorted(self.states.items()) if row.status == "failed"]

    @property
    def item(self) -> Item:
        """What tells the patient again in the list of what a model has learnt from (:mod:`pathology.tasks.msi.learned_from`)."""
        hashes = {digest for row in self.ok for digest in (row.sha256, row.content_sha256) if digest}
        return Item(self.patient_id, ids={"patients": (self.patient_id,)}, contents={"features": sorted(hashes)})

    @property
    def empty(self) -> list[str]:
        """Slides without tissue."""
        return [name for name, row in sorted(self.states.items()) if row.status == "empty"]


def patients_of(slides: Sequence[PatientSlide], states: Sequence[SlideRow]) -> list[BatchPatient]:
    """By id.

    Raises:
        DataError: when a slide was not collected.
    """
    by_id = {row.slide_id: row for row in states}
    grouped: dict[str, list[PatientSlide]] = {}
    for slide in sorted(slides, key=lambda slide: (slide.patient_id, slide.slide_id)):
        if not slide.fault and slide.slide_id not in by_id:
            raise DataError(f"slide {slide.slide_id} is in the batch and not in slides.csv: collect this batch's features")
        grouped.setdefault(slide.patient_id, []).append(slide)
    return [
        BatchPatient(name, tuple(own), {slide.slide_id: by_id[slide.slide_id] for slide in own if not slide.fault})
        for name, own in grouped.items()
    ]


@dataclass
class Asked:
    """A model in a process of its own, started when it is first needed and again after a patient that it failed on."""

    start: Callable[[float], Answering]
    uris: Path
    objects: Objects
    limit_seconds: float
    _begun: float = field(default_factory=time.monotonic)
    _process: Answering | None = None
    _held: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def answer(self, patient: BatchPatient, *, attention: bool) -> tuple[dict[str, Any], bytes | None]:
        """The model's answer on the patient, and its attention as GeoJSON.

        Raises:
            DataError: when it refuses the patient, or fails on the patient. The next one gets a new process.
            NoModelError: when it cannot be loaded, or there is no time left.
        """
        process = self._ready()
        placed: list[Path] = []
        try:
            body = request(patient.ok, self.objects, self.uris, placed)
            (said,) = process.ask([Question(patient.patient_id, body, JSON, (GEOJSON,) if attention else ())])
            return json.loads(said), process.further(0, GEOJSON) if attention else None
        except DataError as error:
            self._held.close()
            self._process = None
            if process.late:
                raise NoModelError(f"at patient {patient.patient_id}: {error}") from None
            raise
        finally:
            for path in placed:
                path.unlink(missing_ok=True)

    def _ready(self) -> Answering:
        """The process with the model loaded."""
        if self._process is None:
            left = self.limit_seconds - (time.monotonic() - self._begun)
            self._process = self._held.enter_context(self.start(max(1.0, left)))
            try:
                self._process.ready()
            except DataError as error:
                raise NoModelError(str(error)) from None
        return self._process


def ask(asked: Asked, patient: BatchPatient, limits: PredictMsi, labels: tuple[str, str]) -> tuple[PatientResult, bytes | None]:
    """The patient's row, and the attention as GeoJSON where there is one."""
    remarks = [f"{name} is not in it: {reason}" for name, reason in patient.lost]
    if not patient.ok:
        return _without_features(patient, remarks), None
    if patient.empty:
        remarks.append(f"without tissue: {', '.join(patient.empty)}")
    attention = None
    try:
        try:
            said, attention = asked.answer(patient, attention=True)
        except DataError as error:
            said, _ = asked.answer(patient, attention=False)
            remarks.append(f"no attention was written ({error})")
        probability, fold_std, label = float(said["probability"]), float(said["fold_std"]), str(said["label"])
        tiles, found, failed = (said["tiles"][name] for name in ("pooled", "with_tissue", "failed"))
    except DataError as error:
        return _row(patient, "failed", remarks=[" ".join(str(error).split()), *remarks]), None
    except (KeyError, TypeError, ValueError) as error:
        return _row(
            patient, "failed", remarks=[f"its answer is of a form that this code does not read ({error!r})", *remarks]
        ), None
    if label not in labels:
        return _row(patient, "failed", remarks=[f"the model answers {label!r}, which is not one of its labels", *remarks]), None
    doubts = list(_doubts(patient, tiles, found, failed, fold_std, limits))
    result = _row(
        patient,
        "cannot say" if doubts else "predicted",
        probability=probability,
        fold_std=fold_std,
        label=None if doubts else label,
        tiles=tiles,
        failed_tiles=failed,
        doubts=doubts,
        remarks=remarks,
    )
    return result, attention


def _without_features(patient: BatchPatient, remarks: list[str]) -> PatientResult:
    if not patient.empty:
        return _row(patient, "failed", remarks=remarks)
    count = len(patient.empty)
    words = f"no tissue on {'its slide' if count == 1 else f'any of {count} slides'}: {patient.states[patient.empty[0]].reason}"
    return _row(patient, "cannot say", doubts=[Doubt(about="no tissue", value=0, limit=1, words=words)], tiles=0, remarks=remarks)


def _row(patient: BatchPatient, status: str, **more: Any) -> PatientResult:
    none = dict.fromkeys(("probability", "fold_std", "label", "tiles", "failed_tiles", "attention"))
    values = {**none, "doubts": [], "remarks": [], **more}
    slide_ids = [slide.slide_id for slide in patient.slides]
    return PatientResult.model_validate({"patient_id": patient.patient_id, "status": status, "slide_ids": slide_ids, **values})


def _doubts(
    patient: BatchPatient, tiles: int, found: int | None, failed: int | None, fold_std: float, limits: PredictMsi
) -> Iterator[Doubt]:
    """What passes its limit."""
    if tiles < limits.min_tiles:
        words = f"too little tissue: {tiles:,} tiles, at least {limits.min_tiles:,} are asked for"
        yield Doubt(about="min-tiles", value=tiles, limit=limits.min_tiles, words=words)
    fraction = (failed or 0) / found if found else 0.0
    if fraction > limits.max_failed_tiles:
        words = (
            f"{failed:,} of {found:,} tissue tiles could not be decoded ({fraction:.0%}, at most {limits.max_failed_tiles:.0%})"
        )
        yield Doubt(about="max-failed-tiles", value=fraction, limit=limits.max_failed_tiles, words=words)
    guessed = [row for row in patient.ok if row.mpp_source == DEFAULT_MPP]
    fraction = len(guessed) / len(patient.ok)
    if fraction > limits.max_default_mpp:
        share = f"{fraction:.0%}, at most {limits.max_default_mpp:.0%}"
        words = f"the scale of {len(guessed)} of {len(patient.ok)} slides is a default ({share})"
        yield Doubt(about="max-default-mpp", value=fraction, limit=limits.max_default_mpp, words=words)
    if fold_std > limits.max_fold_std:
        words = f"the folds' models disagree: standard deviation {fold_std:.3f}, at most {limits.max_fold_std:g}"
        yield Doubt(about="max-fold-std", value=fold_std, limit=limits.max_fold_std, words=words)
