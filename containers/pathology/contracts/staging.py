"""What the stage command copies: staging.csv, written by the steps that know what training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pathology.contracts.errors import DataError
from pathology.contracts.hashes import Sha256
from pathology.contracts.settings import Settings
from pathology.contracts.tables import Row
from pathology.contracts.uris import UriText

TABLE = "staging.csv"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._ -]{0,202}"  # a slide id and .h5


class StagingRow(Row):
    """One file: the object in S3, the sha256 that it must have, and where below the destination it goes."""

    uri: UriText
    sha256: Sha256
    target: Annotated[str, Field(pattern=rf"\A{_NAME}(/{_NAME})*\z")]


def read_staging(path: Path) -> list[StagingRow]:
    """Read staging.csv, each target once: several objects of the same content are one file.

    Raises:
        DataError: for a table that cannot be read, or a target that is to hold two contents.
    """
    targets: dict[str, StagingRow] = {}
    for row in StagingRow.read(path):
        other = targets.setdefault(row.target, row)
        if other.sha256 != row.sha256:
            raise DataError(f"{path}: {row.target} is to hold {other.uri} and {row.uri}, which differ: prepare the data again")
    return list(targets.values())


class Stage(Settings):
    """Copies the files of staging.csv, and the ``encoder``'s folder, to EFS where they changed."""

    encoder: UriText
