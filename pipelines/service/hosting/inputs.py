"""What a person names to be asked, as requests: pictures on disk and in S3, or slides whose features were extracted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pathology.contracts.cohort import SlideRow
from pathology.contracts.comparison.reading import table_rows
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.features import Sidecar
from pathology.contracts.media import JSON
from pathology.contracts.uris import Uri
from pydantic import ValidationError

from pipelines.service.hosting.first_request import patient_request, picture_type
from pipelines.service.session import Session

_S3 = "s3://"
_NAMED = 3
"""Of what is left out, named in a line."""


@dataclass(frozen=True)
class Input:
    """A request: its ``name`` in tables and of its result, and how its body is read, when its turn comes."""

    name: str
    content_type: str
    read: Callable[[], bytes]


class Inputs(NamedTuple):
    """Requests in order, and lines on what is not asked, and how the others are."""

    items: list[Input]
    notes: list[str]


def pictures(session: Session, given: Sequence[str]) -> Inputs:
    """Pictures by path or URI, and those of folders and prefixes; other files there are counted.

    Raises:
        RequestError: when a path is not there, a folder holds no picture, or two have the same name.
    """
    items: list[Input] = []
    left_out: list[str] = []
    for text in given:
        found, others = _in_s3(session, text) if text.startswith(_S3) else _on_disk(Path(text))
        if not found:
            raise RequestError(f"{text}: holds no .png, .jpg or .jpeg" + (f", but {len(others)} other files" if others else ""))
        items += found
        if others:
            left_out.append(f"not asked: {text}: {_counted(others, 'file', 'no picture by name')}")
    return Inputs(_once(items), left_out)


def _on_disk(path: Path) -> tuple[list[Input], list[str]]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        chosen = [file for file in files if _is_picture(file.name)]
        return (
            [_picture(file.relative_to(path).as_posix(), file.read_bytes) for file in chosen],
            [file.name for file in files if not _is_picture(file.name)],
        )
    if not path.is_file():
        raise RequestError(f"{path}: there is no such file or folder")
    return [_picture(path.name, path.read_bytes)], []


def _in_s3(session: Session, text: str) -> tuple[list[Input], list[str]]:
    uri = Uri.parse(text)
    if uri.path and session.store.entry(uri) is not None:
        return [_picture(uri.name, partial(session.store.read, uri))], []
    entries = [(entry.uri, str(entry.uri).removeprefix(f"{uri}/")) for entry in session.store.list(uri)]
    if not entries:
        raise RequestError(f"{text}: there is no such object, and none below it")
    return (
        [_picture(name, partial(session.store.read, found)) for found, name in entries if _is_picture(name)],
        [name for _, name in entries if not _is_picture(name)],
    )


def _picture(name: str, read: Callable[[], bytes]) -> Input:
    return Input(name, picture_type(name), read)


def _is_picture(name: str) -> bool:
    try:
        picture_type(name)
    except RequestError:
        return False
    return True


def patients(session: Session, given: Sequence[str], features: str | None, table: Path | None) -> Inputs:
    """Patients by their slides: rows of a slides.csv, or slide ids below the folder ``features``. ``table`` says by its columns
    ``slide_id`` and ``patient_id`` whose they are, as a cohort.csv does; without one each slide is asked for by itself.

    Raises:
        RequestError: when a slide is not there, or the table does not know it.
    """
    slides: list[SlideRow] = []
    for text in given:
        slides += _rows(session, text) if text.lower().endswith(".csv") else [_slide(session, text, features)]
    seen: set[str] = set()
    for slide in slides:
        if slide.slide_id in seen:
            raise RequestError(f"slide {slide.slide_id} is named twice")
        seen.add(slide.slide_id)
    ready = [slide for slide in slides if slide.status == "ok"]
    left_out = [f"{slide.slide_id}: {slide.status}, {slide.reason or 'no tissue'}" for slide in slides if slide.status != "ok"]
    lines = [f"not asked: {_counted(left_out, 'slide', 'without features')}"] if left_out else []
    if not ready:
        raise RequestError(f"none of {len(slides)} slides has features: {'; '.join(lines)}")
    if table is None:
        if len(ready) > 1:
            lines.append("each slide is asked for by itself: --patients TABLE says which belong to one patient")
        return Inputs(_once([Input(slide.slide_id, JSON, partial(patient_request, [slide])) for slide in ready]), lines)
    of = _patients_of(table)
    groups: dict[str, list[SlideRow]] = {}
    for slide in ready:
        if slide.slide_id not in of:
            raise RequestError(f"--patients {table}: slide {slide.slide_id} is not in it")
        groups.setdefault(of[slide.slide_id], []).append(slide)
    return Inputs(_once([Input(name, JSON, partial(patient_request, group)) for name, group in groups.items()]), lines)


def _rows(session: Session, text: str) -> list[SlideRow]:
    if not text.startswith(_S3):
        return list(SlideRow.read(Path(text)))
    try:
        return [SlideRow.model_validate(row) for row in table_rows(session.store.read(Uri.parse(text)), text)]
    except ValidationError as error:
        raise DataError(f"{text}: is no slides.csv ({error.errors()[0]['msg']} at {error.errors()[0]['loc']})") from None


def _slide(session: Session, slide: str, features: str | None) -> SlideRow:
    """What the sidecar below ``features`` says of a slide."""
    if features is None:
        raise RequestError(f"{slide}: is no .csv: give a slides.csv, or --features, the folder of features that the slide is in")
    folder = Uri.parse(features)
    uri = folder / f"{slide}.json"
    if session.store.entry(uri) is None:
        below = [entry.uri for entry in session.store.list(folder) if entry.uri.name == f"{slide}.json"]
        if len(below) != 1:
            words = "is not there" if not below else f"is there with {len(below)} settings: name the folder of one"
            raise RequestError(f"slide {slide}: {folder}/{slide}.json {words}")
        (uri,) = below
    sidecar = Sidecar.from_json(session.store.read(uri), str(uri))
    return SlideRow(
        slide_id=sidecar.slide_id,
        status=sidecar.status,
        reason=sidecar.reason,
        features=str(uri.parent / f"{slide}.h5") if sidecar.status == "ok" else "",
        sha256=sidecar.sha256,
        content_sha256=sidecar.content_sha256,
        settings_hash=sidecar.settings_hash,
        mpp=sidecar.mpp,
        mpp_source=sidecar.mpp_source,
        tiles=sidecar.tiles,
        failed_tiles=sidecar.failed_tiles,
    )


def _patients_of(table: Path) -> dict[str, str]:
    try:
        rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"--patients {table}: cannot be read ({error})") from None
    found: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        slide, patient = row.get("slide_id"), row.get("patient_id")
        if not slide or not patient:
            raise RequestError(f"--patients {table}, line {number}: it needs slide_id and patient_id, as a cohort.csv has them")
        if found.setdefault(slide, patient) != patient:
            raise RequestError(f"--patients {table}: slide {slide} has two patients")
    return found


def _once(items: list[Input]) -> list[Input]:
    seen: set[str] = set()
    for item in items:
        if item.name.casefold() in seen:
            raise RequestError(f"two inputs are called {item.name}, and so would their results: give the folder above both")
        seen.add(item.name.casefold())
    return items


def _counted(names: Sequence[str], what: str, how: str) -> str:
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'}, {how} ({', '.join(_first(names))})"


def _first(names: Sequence[str]) -> Iterator[str]:
    yield from names[:_NAMED]
    if len(names) > _NAMED:
        yield "…"
