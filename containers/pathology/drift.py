"""The statistics of what a model was trained on, out of its unpacked artefact."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from pathology.contracts.artefact import DRIFT_BASELINE
from pathology.contracts.drift import DriftBaseline
from pathology.contracts.errors import DataError


class NamesBaseline(Protocol):
    """What config.json says of the statistics: their file's sha256; None in artefacts of before there were any."""

    @property
    def drift_baseline(self) -> str | None: ...


def read_drift_baseline(folder: Path, config: NamesBaseline) -> tuple[DriftBaseline, bytes] | None:
    """The statistics in ``folder``, an unpacked artefact, and the file's bytes; None for one that was packed before there were any.

    Raises:
        DataError: when the file that ``config`` names is gone, changed or of another version.
    """
    if config.drift_baseline is None:
        return None
    path = folder / DRIFT_BASELINE
    if not path.is_file():
        raise DataError(f"the model artefact lacks {DRIFT_BASELINE}: register a whole one")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != config.drift_baseline:
        raise DataError(f"{DRIFT_BASELINE} is not the one that was packed (its sha256 is another): fetch the artefact again")
    return DriftBaseline.from_json(content, f"the model artefact's {DRIFT_BASELINE}"), content
