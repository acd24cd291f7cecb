"""Which model versions learnt from a patient, a slide or a patch, by the list in each version's artefact.

Of model.tar.gz two files are looked at as it streams by: config.json, whose sha256 the version has as its identity, and the list,
whose sha256 config.json has.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from pathology.contracts.artefact import LEARNED_FROM
from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import normal
from pathology.contracts.learned_from import LearnedFrom
from pathology.contracts.uris import Uri

from pipelines.service.results import MODEL_VERSION, location
from pipelines.service.session import Session
from pipelines.service.version import Version

_CONFIG = "config.json"
_MAX_BYTES = 2**28
"""Of one of the two files."""
_TABLES = ("cohort", "patches")
_NAMES = ("slide_id", "name", "image")
"""Columns that name an item which the list does not know by that name."""
MARKS = ("patient_id", "group", "source", "sha256")
"""Columns that hold what the list knows an item by."""


@dataclass(frozen=True)
class Learned:
    """Whether a version learnt from what was asked about: ``seen`` is None where it cannot be told, and ``why`` says why. ``by`` is what
    it is known by, such as patients; ``kinds`` are all that the version's list knows."""

    version: int
    seen: bool | None
    by: tuple[str, ...]
    kinds: tuple[str, ...]
    why: str | None

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def learned(session: Session, version: Version, given: str) -> Learned:
    """Whether ``version`` learnt from ``given``: a patient's id, a group's, a source image's name, a sha256, or a slide or a patch by its
    name in the table that the version was trained from."""
    try:
        known = read_list(session, version)
        if known is None:
            return Learned(version.number, None, (), (), f"its artefact keeps no {LEARNED_FROM}, as those of before")
        by = known.kinds_of(given) or [kind for mark in _in_table(session, version, given) for kind in known.kinds_of(mark)]
    except DataError as error:
        return Learned(version.number, None, (), (), str(error))
    return Learned(version.number, bool(by), tuple(dict.fromkeys(by)), known.kinds, None)


def read_list(session: Session, version: Version) -> LearnedFrom | None:
    """The list in a version's artefact; None where it keeps none.

    Raises:
        DataError: when the artefact is gone, damaged, or not the one that was registered.
    """
    if version.artefact is None:
        raise DataError(f"version {version.number} names no artefact")
    return list_in(session, Uri.parse(version.artefact), version.metadata.get(MODEL_VERSION))


def list_in(session: Session, uri: Uri, identity: str | None) -> LearnedFrom | None:
    """The list in the model.tar.gz at ``uri``, whose config.json's sha256 begins with ``identity`` where that is known; None where it
    keeps none. Raises as :func:`read_list`."""
    where = location(session, uri)
    found = _members(session, uri, where)
    if _CONFIG not in found:
        raise DataError(f"{where}: holds no {_CONFIG}: it is no model's artefact")
    if identity and not hashlib.sha256(found[_CONFIG]).hexdigest().startswith(identity):
        raise DataError(f"{where}: is not the artefact that was registered (its {_CONFIG} is another)")
    try:
        packed = json.loads(found[_CONFIG]).get("learned_from")
    except (ValueError, AttributeError):
        raise DataError(f"{where}: its {_CONFIG} is damaged, no valid JSON") from None
    if packed is None:
        return None
    content = found.get(LEARNED_FROM)
    if content is None or hashlib.sha256(content).hexdigest() != packed:
        what = "lacks" if content is None else "has another than was packed as"
        raise DataError(f"{where}: {what} {LEARNED_FROM}: put the artefact back as it was registered")
    return LearnedFrom.from_json(content, f"{where}: {LEARNED_FROM}")


def _members(session: Session, uri: Uri, where: str) -> dict[str, bytes]:
    """The two files, as far as they are there; reading ends when both have come."""
    found: dict[str, bytes] = {}
    try:
        with session.store.open(uri) as stream, tarfile.open(fileobj=stream, mode="r|gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name).as_posix()
                if name not in (_CONFIG, LEARNED_FROM) or not member.isreg():
                    continue
                if member.size > _MAX_BYTES:
                    raise DataError(f"{where}: its {name} has {member.size} bytes: no model's has as many")
                file = tar.extractfile(member)
                assert file is not None, "a regular file"
                found[name] = file.read()
                if len(found) == 2:
                    break
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{where}: cannot be unpacked ({error}): put the artefact back as it was registered") from None
    return found


def _in_table(session: Session, version: Version, given: str) -> Iterator[str]:
    """What the list may know an item by that the training's own table names ``given``; nothing where it names none so.

    Raises:
        DataError: when that table is gone, or another than the version was trained from.
    """
    inputs = version.learned_from["inputs"]
    uris = version.block.get("data_uris", {})
    for name in _TABLES:
        if name not in inputs:
            continue
        if name not in uris:
            raise DataError(
                f"its evaluation does not say where the table of {name} lies that has the names of slides and patches"
            )
        uri = Uri.parse(uris[name])
        content = session.store.read(uri)
        if hashlib.sha256(content).hexdigest() != inputs[name]:
            raise DataError(f"{location(session, uri)}: is not the table that version {version.number} was trained from")
        wanted = normal(given)
        for row in csv.DictReader(io.StringIO(content.decode())):
            if wanted in {normal(row[column]) for column in _NAMES if row.get(column)}:
                yield from (row[column] for column in MARKS if row.get(column))
