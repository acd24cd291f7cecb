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

NOT_READ = {
    ".dcm": "DICOM",
    ".czi": "Zeiss CZI",
    ".vsi": "Olympus VSI",
    ".isyntax": "Philips iSyntax",
    ".i2syntax": "Philips iSyntax",
    ".zvi": "Zeiss ZVI",
    ".lif": "Leica LIF",
    ".qptiff": "Akoya QPTIFF",
    ".jp2": "JPEG 2000",
    ".sdpc": "SDPC",
    ".kfb": "KFB",
}
"""Slides of formats that are not read, by suffix: they are counted, never overlooked."""
HIDDEN = "hidden files or unfinished downloads"

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

    def fault(self) -> str:
        """Why the file is not the manifest's, or "" when it is."""
        if self.expected_bytes is None or self.bytes == self.expected_bytes:
            return ""
        return (
            f"slide {self.slide_id}: {self.uri} has {self.bytes:,} bytes and its manifest says {self.expected_bytes:,}: "
            "download it again"
        )


@dataclass(frozen=True)
class FoundSlides:
    """``slides`` sorted by id; the names of slides of formats that are ``not_read``, by format, and of ``hidden`` files."""

    slides: tuple[StoredSlide, ...]
    not_read: dict[str, tuple[str, ...]]
    hidden: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Slides of any kind."""
        return len(self.slides) + sum(map(len, self.not_read.values())) + len(self.hidden)


def find_slides(store: Store, slides: Uri, manifest: Uri | None, beside: frozenset[Uri] = frozenset()) -> FoundSlides:
    """All slides; those of a manifest that do not lie below ``slides`` have ``bytes`` None. What is named ``beside``, such as masks, is
    no slide.

    gdc-client's ``<id>/<filename>`` is found, and the flat layout. EFS cannot be listed by a Processing job: there the
    manifest is the only source, in gdc-client's layout.

    Raises:
        RequestError: for ``efs://`` slides without a manifest.
        DataError: for a manifest that cannot be read, no slide at all, or two files with one id.
    """
    if manifest is None and slides.scheme == "efs":
        raise RequestError(f"{slides} is on EFS, which a Processing job cannot list: give a GDC manifest, or slides on s3://")
    entries = (
        {} if slides.scheme == "efs" else {entry.uri: entry.bytes for entry in store.list(slides) if entry.uri not in beside}
    )
    present = {uri: size for uri, size in entries.items() if _is_slide(uri.name)}
    if manifest is not None:
        rows = _read_manifest(store.read(manifest), str(manifest))
        names = [row["filename"] for row in rows]
        stored = _of_manifest(rows, slides, None if slides.scheme == "efs" else present)
    else:
        names = [uri.name for uri in entries]
        stored = [StoredSlide(_slide_id(uri.name), uri, size) for uri, size in present.items()]
    not_read: dict[str, tuple[str, ...]] = {}
    for name in sorted(names):
        if (kind := NOT_READ.get(PurePosixPath(name).suffix.lower())) and not name.startswith("."):
            not_read[kind] = (*not_read.get(kind, ()), name)
    if not stored:
        kinds = ", ".join(SLIDE_SUFFIXES)
        others = "".join(f", but {len(found)} {kind} files, which are not read" for kind, found in not_read.items())
        raise DataError(f"{manifest or slides} holds no slide ({kinds}){others}: correct the URI, or copy the slides there")
    hidden = tuple(sorted(name for name in names if name.startswith(".") and _has_suffix(name)))
    return FoundSlides(tuple(_unique(stored)), not_read, hidden)


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


def _has_suffix(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SLIDE_SUFFIXES


def _is_slide(name: str) -> bool:
    # gdc-client's downloads under way end in .partial or .parcel, which is not a slide's suffix; macOS leaves ._name beside name.
    return _has_suffix(name) and not name.startswith(".")


def _of_manifest(rows: list[dict[str, str]], slides: Uri, present: dict[Uri, int] | None) -> list[StoredSlide]:
    """The manifest's slides where they lie; ``present`` is None where the place cannot be listed."""
    stored = []
    for row in rows:
        if not _is_slide(row["filename"]):
            continue
        candidates = [slides / row["id"] / row["filename"], slides / row["filename"]]
        size = int(row["size"])
        uri = candidates[0] if present is None else next((uri for uri in candidates if uri in present), candidates[0])
        there = size if present is None else present.get(uri)
        stored.append(StoredSlide(_slide_id(row["filename"]), uri, there, row["md5"], size))
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
    return rows


def _check_manifest_row(row: dict[str, str], where: str) -> None:
    md5 = row["md5"] or ""
    good = row["id"] and row["filename"] and (row["size"] or "").isdecimal() and (not md5 or len(md5) == 32)
    if not good or "/" in row["id"] + row["filename"]:
        raise DataError(f"{where}: id, filename, md5 and size are not a file's: download the manifest again")
    row["md5"] = md5.lower()
