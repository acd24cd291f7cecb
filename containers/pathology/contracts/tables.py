"""cohort.csv, slides.csv and predictions.csv: typed rows, strict headers, bytes that depend on the content alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pathology.contracts.errors import DataError
from pathology.contracts.settings import explain


def _empty(value: Any) -> Any:
    return None if value == "" else value


OptionalInt = Annotated[int | None, BeforeValidator(_empty)]
OptionalFloat = Annotated[float | None, BeforeValidator(_empty)]
SlideId = Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._ -]{0,199}\z")]


class Row(BaseModel):
    """A row of a table whose header is exactly its fields, in order."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def read(cls, path: Path) -> list[Self]:
        """Read a table.

        Raises:
            DataError: naming the file, and the missing column or the line that is wrong.
        """
        if not path.is_file():
            raise DataError(f"{path}: there is no such table")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in cls.model_fields if name not in (reader.fieldnames or [])]
            if missing:
                raise DataError(f"{path}: the column {missing[0]!r} is missing; the header is {reader.fieldnames}")
            rows = []
            for number, values in enumerate(reader, start=2):
                try:
                    rows.append(cls.model_validate(values))
                except ValidationError as error:
                    raise DataError(explain(error, f"{path}, line {number}")) from None
        return rows

    @classmethod
    def table(cls, rows: Iterable[Self]) -> bytes:
        """The table as bytes: header, rows in the order given, ``\\n`` line ends, empty for None."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(cls.model_fields)
        for row in rows:
            writer.writerow("" if value is None else value for value in row.model_dump().values())
        return text.getvalue().encode()


class CohortRow(Row):
    """One labelled slide: where it is, whose it is, what its patient's label is, and on which side of the split."""

    slide_id: SlideId
    patient_id: Annotated[str, Field(min_length=1)]
    site: str
    slide_uri: str
    bytes: Annotated[int, Field(ge=0)]
    md5: Annotated[str, Field(pattern=r"\A([0-9a-f]{32})?\z")]
    mpp: OptionalFloat
    label: Annotated[int, Field(ge=0, le=1)]
    split: Literal["train", "test"]
    fold: OptionalInt

    @model_validator(mode="after")
    def _fold_goes_with_train(self) -> Self:
        if (self.split == "train") != (self.fold is not None):
            raise ValueError("a train row has a fold and a test row has none")
        return self


class SlideRow(Row):
    """What became of one slide of the cohort. ``features`` and what follows are empty unless ``status`` is ok."""

    slide_id: SlideId
    status: Literal["ok", "empty", "failed"]
    reason: str
    features: str
    sha256: Annotated[str, Field(pattern=r"\A([0-9a-f]{64})?\z")]
    settings_hash: str
    mpp: OptionalFloat
    mpp_source: str
    tiles: OptionalInt
    failed_tiles: OptionalInt
    seconds: OptionalFloat
    reader: str


class PredictionRow(Row):
    """One test patient: the label, the ensemble's probability, and its spread over the folds' models."""

    patient_id: str
    site: str
    slides: int
    label: int
    probability: Annotated[float, Field(ge=0, le=1)]
    fold_deviation: float
    predicted: int


class PatchRow(Row):
    """One patch of patches.csv: its file and the file's sha256, class 0 or 1, how many of 7 annotators chose class 1, its side."""

    image: Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,199}\z")]
    sha256: Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
    bytes: Annotated[int, Field(ge=1)]
    label: Annotated[int, Field(ge=0, le=1)]
    votes: Annotated[int, Field(ge=0, le=7)]
    split: Literal["train", "validation", "test"]

    @model_validator(mode="after")
    def _label_is_the_majority(self) -> Self:
        if (self.votes >= 4) != (self.label == 1):
            raise ValueError(f"label {self.label} is not what {self.votes} of 7 annotators chose")
        return self


class PatchPredictionRow(Row):
    """One test patch: the label, the annotators' votes for class 1, the model's probability of class 1 and its decision."""

    image: str
    label: int
    votes: int
    probability: Annotated[float, Field(ge=0, le=1)]
    predicted: int


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
            raise DataError(f"{path}: slide {row.slide_id} stands there twice")
        seen.add(row.slide_id)
        place = (row.label, row.split, row.fold)
        if patients.setdefault(row.patient_id, place) != place:
            raise DataError(f"{path}: patient {row.patient_id} has two labels, splits or folds")
    return rows
