"""The list of what a model has learnt from, out of its unpacked artefact."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from pathology.contracts.artefact import LEARNED_FROM
from pathology.contracts.errors import DataError
from pathology.contracts.learned_from import LearnedFrom


class NamesList(Protocol):
    """What config.json says of the list: its sha256; None in artefacts of before there were lists."""

    @property
    def learned_from(self) -> str | None: ...


def read_learned_from(folder: Path, config: NamesList) -> LearnedFrom | None:
    """The list of an unpacked artefact; None for one that was packed before there were lists.

    Raises:
        DataError: when the list that ``config`` names is gone, changed or of another version.
    """
    if config.learned_from is None:
        return None
    path = folder / LEARNED_FROM
    if not path.is_file():
        raise DataError(f"the model artefact lacks {LEARNED_FROM}: register a whole one")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != config.learned_from:
        raise DataError(f"{LEARNED_FROM} is not the one that was packed (its sha256 is another): fetch the artefact again")
    return LearnedFrom.from_json(content, f"the model artefact's {LEARNED_FROM}")
