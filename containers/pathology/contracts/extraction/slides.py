"""slides_to_extract.csv: what ExtractFeatures has to know of a slide, and no label or split, so that neither extracts it again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pathology.contracts.cohort import CohortRow, SlideId
from pathology.contracts.errors import DataError
from pathology.contracts.tables import OptionalFloat, Row

TABLE = "slides_to_extract.csv"


class SlideToExtract(Row):
    """One slide: where it is, and what tells that it is another: ``md5`` where the manifest has one, else ``etag``, the store's mark of
    it. ``bytes``, ``companion`` and the mask are :class:`pathology.contracts.cohort.CohortRow`'s."""

    slide_id: SlideId
    slide_uri: str
    bytes: Annotated[int, Field(ge=0)]
    md5: Annotated[str, Field(pattern=r"\A([0-9a-f]{32})?\z")] = ""
    etag: str = ""
    mpp: OptionalFloat = None
    companion: Annotated[str, Field(pattern=r"\A([0-9a-f]{32})?\z")] = ""
    mask_uri: str = ""
    mask_sha256: Annotated[str, Field(pattern=r"\A([0-9a-f]{64})?\z")] = ""

    @classmethod
    def of(cls, row: CohortRow, etag: str) -> SlideToExtract:
        """The slide of a row of the cohort, and its mark in the store."""
        same = {name: getattr(row, name) for name in cls.model_fields if name != "etag"}
        return cls(**same, etag="" if row.md5 else etag)


def read_slides(path: Path) -> list[SlideToExtract]:
    """Read and check the table: every slide once.

    Raises:
        DataError: naming the slide.
    """
    rows = SlideToExtract.read(path)
    if not rows:
        raise DataError(f"{path}: there is no slide in it")
    seen: set[str] = set()
    for row in rows:
        if row.slide_id in seen:
            raise DataError(f"{path}: slide {row.slide_id} is duplicated")
        seen.add(row.slide_id)
    return rows
