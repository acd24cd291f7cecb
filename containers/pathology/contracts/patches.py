"""patches.csv of any patch classification: which file, which class, which side."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from pathology.contracts.hashes import Sha256
from pathology.contracts.tables import Row

TABLE, DATASET = "patches.csv", "dataset.json"
SPLITS = ("train", "validation", "test")


class PatchRow(Row):
    """One patch: its file and the file's sha256, class 0 or 1, its side, and its group where there are any.

    Patches of one ``group`` (a patient, a slide; in the normal form of identifiers) are never on two sides.
    """

    image: Annotated[str, Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,199}\z")]
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1)]
    label: Annotated[int, Field(ge=0, le=1)]
    split: Literal["train", "validation", "test"]
    group: str = ""

    @property
    def staged(self) -> str:
        """Where staging puts the file, below its destination: by its content, so that two data sets share a file system."""
        return f"{self.sha256[:2]}/{self.sha256}{PurePosixPath(self.image).suffix}"


class PatchPredictionRow(Row):
    """One test patch: the label, the model's probability of class 1 and its decision."""

    image: str
    label: int
    probability: Annotated[float, Field(ge=0, le=1)]
    predicted: int
