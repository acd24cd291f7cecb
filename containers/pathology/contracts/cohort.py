"""cohort.csv and slides.csv: the cohort's slides, and what became of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pathology.contracts.errors import DataError
from pathology.contracts.tables import OptionalFloat, OptionalInt, Row

SlideId = Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._ -]{0,199}\z")]


PatientId = Annotated[str, Field(pattern=r"\A[^\x00-\x1f\x7f-\x9f]{1,128}\z")]


class CohortRow(Row):
    """One labelled slide: where it is, whose it is, what its patient's label is, and on which side of the split.

    ``kind`` is what its name says of it, ``diagnostic primary``; empty where it says nothing. ``name`` is its file's name without
    extension where that is not its id. ``bytes`` are those of all its files; ``companion`` is the mark of the folder that belongs to
    its file (:class:`pathology.contracts.companion.Companion`), empty where none does. ``mask_uri`` is a person's own mask of the
    tissue and ``mask_sha256`` its content; a table in which no slide has one need not have these columns.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"mask_uri", "mask_sha256"})

    slide_id: SlideId
    patient_id: PatientId
    site: str
    kind: str = ""
    slide_uri: str
    bytes: Annotated[int, Field(ge=0)]
    md5: Annotated[str, Field(pattern=r"\A([0-9a-f]{32})?\z")]
    mpp: OptionalFloat
    label: Annotated[int, Field(ge=0, le=1)]
    split: Literal["train", "test"]
    fold: OptionalInt
    name: str = ""
    companion: Annotated[str, Field(pattern=r"\A([0-9a-f]{32})?\z")] = ""
    mask_uri: str = ""
    mask_sha256: Annotated[str, Field(pattern=r"\A([0-9a-f]{64})?\z")] = ""

    @model_validator(mode="after")
    def _fold_goes_with_train(self) -> Self:
        if (self.split == "train") != (self.fold is not None):
            raise ValueError("a train row has a fold and a test row has none")
        return self


class SlideRow(Row):
    """What became of one slide of the cohort. ``features`` and what follows are empty unless ``status`` is ok.

    ``sha256`` is the feature file's, ``content_sha256`` that of features and coordinates alone: the same slide under another name has
    the same. ``warnings`` are the sidecar's, with semicolons between. Nothing here is decided by a clock or by who read the slide, which
    the sidecar says: the table is named by its content.
    """

    slide_id: SlideId
    status: Literal["ok", "empty", "failed"]
    reason: str
    features: str
    sha256: Annotated[str, Field(pattern=r"\A([0-9a-f]{64})?\z")]
    content_sha256: Annotated[str, Field(pattern=r"\A([0-9a-f]{64})?\z")]
    settings_hash: str
    mpp: OptionalFloat
    mpp_source: str
    tiles: OptionalInt
    failed_tiles: OptionalInt
    warnings: str = ""

    @property
    def feature_file(self) -> str:
        """The slide's file below the features' folder, and below the folder where training reads: ``<settings_hash>/<slide_id>.h5``.

        Raises:
            DataError: when the settings hash could name another folder.
        """
        if not self.settings_hash.isalnum():
            raise DataError(f"slide {self.slide_id}: {self.settings_hash!r} is not a settings hash: collect the features again")
        return f"{self.settings_hash}/{self.slide_id}.h5"


COHORT, CLASSES = "cohort.csv", "classes.json"
"""What the folder of a prepared cohort holds."""


def classes_json(classes: tuple[str, str]) -> bytes:
    """classes.json: names of class 0 and class 1."""
    return (json.dumps(list(classes), ensure_ascii=False) + "\n").encode()


def read_classes(cohort: Path) -> tuple[str, str]:
    """Names of class 0 and class 1, from the classes.json beside a cohort.csv.

    Raises:
        DataError: when it is not there, or is not two names.
    """
    path = cohort.with_name(CLASSES)
    try:
        negative, positive = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: it should be the names of two classes and cannot be read ({error}): prepare the cohort again"
        ) from None
    return str(negative), str(positive)


def read_cohort(path: Path) -> list[CohortRow]:
    """Read and check a cohort: every slide once, every patient on one side, in one fold, with one label.

    Raises:
        DataError: naming the slide or the patient.
    """
    rows = CohortRow.read(path)
    if not rows:
        raise DataError(f"{path}: the cohort is empty")
    seen: set[str] = set()
    patients: dict[str, tuple[int, str, int | None]] = {}
    for row in rows:
        if row.slide_id in seen:
            raise DataError(f"{path}: slide {row.slide_id} is duplicated")
        seen.add(row.slide_id)
        assignment = (row.label, row.split, row.fold)
        if patients.setdefault(row.patient_id, assignment) != assignment:
            raise DataError(f"{path}: patient {row.patient_id} has two labels, splits or folds")
    return rows
