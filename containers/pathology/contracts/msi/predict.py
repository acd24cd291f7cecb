"""PredictMsi's hyperparameters, and what it writes: predictions.csv and results.json."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pathology.contracts.hashes import Sha256
from pathology.contracts.msi.batch import Batch, Chosen, Count
from pathology.contracts.settings import Fraction, Settings, setting
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables import OptionalFloat, OptionalInt, Row

PREDICTIONS, RESULTS, PAGE, ATTENTION = "predictions.csv", "results.json", "report.html", "attention"
"""What the output ``predictions`` holds; the last is a folder of GeoJSON, a file a patient."""

Status = Literal["predicted", "cannot say", "failed"]


class PredictMsi(Settings):
    """A model's own code on every patient → predictions.csv, results.json, report.html and attention as GeoJSON.

    The limits beyond which a patient is called "cannot say" are not calibrated: nobody has measured yet how many wrong decisions each
    of them catches.
    """

    min_tiles: int = setting(
        50, "Fewer tiles of a patient than this are too little tissue to say anything.", parameter=True, ge=0, le=10**6
    )
    max_failed_tiles: Fraction = setting(
        0.2, "Largest fraction of a patient's tissue tiles that could not be decoded.", parameter=True
    )
    max_default_mpp: Fraction = setting(
        0.0, "Largest fraction of a patient's slides whose scale is a default and not the slide's own.", parameter=True
    )
    max_fold_std: Fraction = setting(0.2, "Largest standard deviation of the probability over the folds' models.", parameter=True)


class PredictMsiJob(PredictMsi):
    """What the job gets besides from the graph."""

    max_minutes: Annotated[int, Field(ge=1)] = setting(..., "Minutes that the job may take.")


class Doubt(StrictJson):
    """Why a patient is called "cannot say": what was looked at, its value and the limit that it passes."""

    about: Literal["no tissue", "min-tiles", "max-failed-tiles", "max-default-mpp", "max-fold-std"]
    value: float
    limit: float
    words: str


class PatientResult(StrictJson):
    """One patient. Without a probability none of the slides has features; ``label`` is null where the model should not be believed."""

    patient_id: str
    status: Status
    slide_ids: list[str]
    probability: Annotated[float, Field(ge=0, le=1)] | None
    fold_std: float | None
    label: str | None
    tiles: Count | None
    failed_tiles: Count | None
    doubts: list[Doubt]
    remarks: list[str]
    attention: str | None

    @property
    def reason(self) -> str:
        """Why there is no label, and what was left out, in one line."""
        return "; ".join([*(doubt.words for doubt in self.doubts), *self.remarks])


class PatientRow(Row):
    """The same as a row of predictions.csv."""

    patient_id: str
    slides: int
    probability: OptionalFloat
    label: str
    threshold: float
    fold_std: OptionalFloat
    tiles: OptionalInt
    failed_tiles: OptionalInt
    status: Status
    reason: str

    @classmethod
    def of(cls, result: PatientResult, threshold: float) -> PatientRow:
        """A patient's."""
        same = ("patient_id", "probability", "fold_std", "tiles", "failed_tiles", "status", "reason")
        return cls(
            **{name: getattr(result, name) for name in same},
            slides=len(result.slide_ids),
            label=result.label or "",
            threshold=threshold,
        )


class Results(StrictJson):
    """results.json: what was asked of which model, and every patient's answer. Nothing here is decided by a clock or by the execution."""

    schema_version: Literal[1] = 1
    task: Literal["msi"] = "msi"
    model: Chosen
    limits: PredictMsi
    data: dict[str, Sha256]
    batch: Batch
    counts: dict[Status, Count]
    slides_with_features: Count
    patients: list[PatientResult]
    warnings: list[str]
