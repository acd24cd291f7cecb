"""What PrepareSlides hands on beside the slides to extract: whose each slide is, which model is asked, what was left out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pathology.contracts.cohort import PatientId, SlideId
from pathology.contracts.hashes import Sha256
from pathology.contracts.strict_json import StrictJson
from pathology.contracts.tables import Row

PATIENTS, BATCH, CHOSEN = "patients.csv", "batch.json", "chosen.json"

Count = Annotated[int, Field(ge=0)]
PatientBy = Literal["table", "barcode", "slide"]
"""Where the patient of a slide is from: a person's table, the TCGA barcode in its name, or nowhere, so that the slide stands alone."""


class PatientSlide(Row):
    """One slide of the batch. ``fault`` says why it is not extracted, empty where it is."""

    slide_id: SlideId
    patient_id: PatientId
    patient_by: PatientBy
    slide_uri: str
    fault: str = ""


class LeftOut(StrictJson):
    """What lies among the slides and is not in the batch, by the name of its file."""

    name: str
    reason: str


class Batch(StrictJson):
    """Where the slides were looked for, how many of them have their patient from where, and what was left out."""

    slides_uri: str
    patients_uri: str | None
    slides: Count
    patients: Count
    patient_by: dict[PatientBy, Count]
    left_out: list[LeftOut]
    warnings: list[str]


class Chosen(StrictJson):
    """The version that is asked: its registry entry, its artefact, and how features are made for it.

    ``archive_sha256`` is the artefact's own, held against its evaluation's where ``archive_proven``. ``settings`` are those of
    extraction as a job gets them, and ``settings_hash`` names them with the encoder.
    """

    name: str
    arn: str
    status: str
    group: str
    archive_uri: str
    archive_sha256: Sha256
    archive_proven: bool
    model_version: str
    encoder: str
    encoder_sha256: Sha256
    encoder_uri: str
    encoder_placeholder: bool
    settings_hash: str
    settings: dict[str, str]
    labels: tuple[str, str]
    threshold: Annotated[float, Field(ge=0, le=1)]
