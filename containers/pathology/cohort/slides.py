"""Which slides there are: a GDC manifest joined with what lies in the store, or the store's listing alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import TypeAdapter, ValidationError

from pathology.cohort.labels import SLIDE_SUFFIXES, strip_slide_suffix
from pathology.contracts.cohort import SlideId
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri

MANIFEST_COLUMNS = ("id", "filename", "md5", "size")
_SLIDE_ID: TypeAdapter[str] = TypeAdapter(SlideId)


@dataclass(frozen=True)
class StoredSlide:
    """A slide's file: its id (the name without extension), where it lies, its size in bytes (None: absent) and its md5."""

    slide_id: str
    uri: Uri
    bytes: int | None
    md5: str = ""
    expected_bytes: int | None = None

    def check(self) -> None:
        """Hold the file against the manifest.

        Raises:
            DataError: when its size is another.
        """
        if self.expected_bytes is not None and self.bytes != self.expected_bytes:
            raise DataError(
                f"slide {self.slide_id}: {self.uri} has {self.bytes:,} bytes and its manifest says {self.expected_bytes:,}: "
                "download it again"
            )


def find_slides(store: Store, slides: Uri, manifest: Uri | None) -> list[StoredSlide]:
    """All slides, sorted by id; those of a manifest that do not lie below ``slides`` have ``bytes`` None.

    gdc-client's ``<id>/<filename>`` is found, and the flat layout. EFS cannot be listed by a Processing job: there the
    manifest is the only source, in gdc-client's layout.

    Raises:
        RequestError: for ``efs://`` slides without a manifest.
        DataError: for a manifest that cannot be read, no slide at all, or two files with one id.
    """
    if manifest is not None:
        stored = _from_manifest(store, slides, manifest)
    elif slides.scheme == "efs":
        raise RequestError(f"{slides} is on EFS, which a Processing job cannot list: give a GDC manifest, or slides on s3://")
    else:
        stored = [StoredSlide(_slide_id(uri.name), uri, size) for uri, size in _listing(store, slides).items()]
    if not stored:
        kinds = ", ".join(SLIDE_SUFFIXES)
        raise DataError(f"{manifest or slides} holds no slide ({kinds}): correct the URI, or copy the slides there")
    return _unique(stored)


def _unique(slides: Iterable[StoredSlide]) -> list[StoredSlide]:
    by_id: dict[str, StoredSlide] = {}
    for slide in slides:
        other = by_id.setdefault(slide.slide_id, slide)
        if other is not slide:
            raise DataError(f"slide {slide.slide_id} is duplicated, {other.uri} and {slide.uri}: delete one or rename it")
    return [by_id[name] for name in sorted(by_id)]


def _slide_id(filename: str) -> str:
    name = strip_slide_suffix(filename)
    try:
        return _SLIDE_ID.validate_python(name)
    except ValidationError:
        raise DataError(
            f"{filename!r} cannot name a slide: rename it with letters, digits, '.', '_', '-' and spaces, 200 at most"
        ) from None


def _is_slide(path: str) -> bool:
    parts = PurePosixPath(path).parts
    # gdc-client keeps its own files in <id>/logs/; downloads under way end in .partial or .parcel, which is not a slide's suffix.
    return PurePosixPath(path).suffix.lower() in SLIDE_SUFFIXES and "logs" not in parts and not parts[-1].startswith(".")


def _listing(store: Store, slides: Uri) -> dict[Uri, int]:
    prefix = f"{slides.path}/" if slides.path else ""
    entries = store.list(slides)
    return {entry.uri: entry.bytes for entry in entries if _is_slide(entry.uri.path.removeprefix(prefix))}


def _from_manifest(store: Store, slides: Uri, manifest: Uri) -> list[StoredSlide]:
    rows = _read_manifest(store.read(manifest), str(manifest))
    present = None if slides.scheme == "efs" else _listing(store, slides)
    stored = []
    for row in rows:
        candidates = [slides / row["id"] / row["filename"], slides / row["filename"]]
        size = int(row["size"])
        if present is None:
            stored.append(StoredSlide(_slide_id(row["filename"]), candidates[0], size, row["md5"], size))
            continue
        uri = next((uri for uri in candidates if uri in present), candidates[0])
        stored.append(StoredSlide(_slide_id(row["filename"]), uri, present.get(uri), row["md5"], size))
    return stored


def _read_manifest(content: bytes, where: str) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter="\t")
        header = reader.fieldnames or []
        missing = [name for name in MANIFEST_COLUMNS if name not in header]
        if missing:
            raise DataError(f"{where}: no column {missing[0]!r}, only {', '.join(header)[:200]}: give a GDC manifest")
        rows = []
        for row in reader:
            _check_manifest_row(row, f"{where}, line {reader.line_num}")
            rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where} is not a GDC manifest ({error})") from None
    return [row for row in rows if _is_slide(row["filename"])]


def _check_manifest_row(row: dict[str, str], where: str) -> None:
    md5 = row["md5"] or ""
    good = row["id"] and row["filename"] and (row["size"] or "").isdecimal() and (not md5 or len(md5) == 32)
    if not good or "/" in row["id"] + row["filename"]:
        raise DataError(f"{where}: id, filename, md5 and size are not a file's: download the manifest again")
    row["md5"] = md5.lower()
