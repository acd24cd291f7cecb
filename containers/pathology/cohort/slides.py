"""Which slides there are: a GDC manifest joined with what lies in the store, or the store's listing alone."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pathology.cohort.formats import (
    PICTURE_SUFFIXES,
    SLIDE_SUFFIXES,
    container,
    file_name,
    is_hidden,
    is_picture,
    is_slide,
    not_read,
    strip_slide_suffix,
    suffix_of,
)
from pathology.cohort.slide_ids import slide_ids
from pathology.contracts.companion import Companion, companion_folder
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.identifiers import normal
from pathology.contracts.storage import Entry, Store
from pathology.contracts.uris import Uri

HIDDEN = "hidden files or unfinished downloads"

MANIFEST_COLUMNS = ("id", "filename", "md5", "size")


@dataclass(frozen=True)
class StoredSlide:
    """A slide's file: its id, where it lies, its size in bytes (None: absent) and its md5.

    ``path`` is where it lies below the slides' folder. ``alone`` says that no other slide's file has this name; ``companion`` is the
    folder that belongs to it, where its format has one and the place can be listed; ``mark`` is the store's own of the file (ETag in S3,
    time in a folder).
    """

    slide_id: str
    uri: Uri
    bytes: int | None
    md5: str = ""
    expected_bytes: int | None = None
    path: str = ""
    alone: bool = True
    companion: Companion | None = None
    mark: str = ""

    @cached_property
    def name(self) -> str:
        """The file's name without its extension, which is what tables call the slide."""
        return strip_slide_suffix(self.uri.path)

    @property
    def shown(self) -> str:
        """The name for people; with its folder where other slides have the same."""
        return self.name if self.alone else self.path

    @property
    def picture(self) -> bool:
        """Whether it is a PNG or JPEG by its name."""
        return is_picture(file_name(self.uri.path))

    @property
    def total_bytes(self) -> int:
        """With the companion folder; 0 when it is absent."""
        return (self.bytes or 0) + (self.companion.bytes if self.companion else 0)

    def fault(self) -> str:
        """Why the file is not the manifest's, or not whole, or "" when it is."""
        if self.expected_bytes is not None and self.bytes != self.expected_bytes:
            return (
                f"slide {self.shown}: {self.uri} has {self.bytes:,} bytes and its manifest says {self.expected_bytes:,}: "
                "download it again"
            )
        folder = companion_folder(self.uri)
        if folder is None or (self.companion is not None and self.companion.indexed):
            return ""
        if self.uri.scheme == "efs":
            return (
                f"slide {self.shown}: the folder of an MRXS on EFS cannot be listed: put {self.uri.name} and its folder on s3://"
            )
        return (
            f"slide {self.shown}: {self.uri} needs the folder {folder} with Slidedat.ini and the .dat files beside it: an MRXS is the "
            "file and its folder, copy both"
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
        DataError: for a manifest that cannot be read, no slide at all, or a file name that no slide can have.
    """
    if manifest is None and slides.scheme == "efs":
        raise RequestError(f"{slides} is on EFS, which a Processing job cannot list: give a GDC manifest, or slides on s3://")
    listed = {} if slides.scheme == "efs" else {entry.uri: entry for entry in store.list(slides)}
    entries = {uri: entry for uri, entry in listed.items() if uri not in beside}
    companions = _companions(entries)
    paths = {_below(slides, uri): uri for uri in entries if not _inside(uri, companions)}
    present = {uri: entries[uri] for path, uri in paths.items() if is_slide(file_name(path)) and not container(path)}
    if manifest is not None:
        rows = _read_manifest(store.read(manifest), str(manifest))
        names = [row["filename"] for row in rows]
        stored = _of_manifest(rows, slides, None if slides.scheme == "efs" else present)
    else:
        names = list(paths)
        stored = [StoredSlide("", uri, entry.bytes, mark=entry.mark) for uri, entry in present.items()]
    unread = not_read(names)
    if not stored:
        kinds = ", ".join(SLIDE_SUFFIXES + PICTURE_SUFFIXES)
        others = "".join(f", but {len(found)} {kind} files, which are not read" for kind, found in unread.items())
        raise DataError(f"{manifest or slides} holds no slide ({kinds}){others}: correct the URI, or copy the slides there")
    files = map(file_name, names)
    hidden = tuple(sorted(name for name in files if is_hidden(name) and suffix_of(name) in SLIDE_SUFFIXES))
    return FoundSlides(tuple(_named(stored, slides, companions)), unread, hidden)


def _below(slides: Uri, uri: Uri) -> str:
    return uri.path.removeprefix(f"{slides.path}/" if slides.path else "")


def _companions(entries: Mapping[Uri, Entry]) -> dict[str, Companion]:
    """The companion folders of a listing, by their paths; there is no second listing."""
    folders = {folder.path: folder for uri in entries if (folder := companion_folder(uri)) and not is_hidden(uri.name)}
    inside: dict[str, list[Entry]] = {path: [] for path in folders}
    for uri, entry in entries.items() if folders else ():
        for parent in _parents(uri):
            if parent in folders:
                inside[parent].append(entry)
    return {path: Companion.of(folders[path], found) for path, found in inside.items() if found}


def _parents(uri: Uri) -> Iterator[str]:
    path = uri.path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _inside(uri: Uri, companions: Mapping[str, Companion]) -> bool:
    return bool(companions) and any(parent in companions for parent in _parents(uri))


def _named(stored: Iterable[StoredSlide], slides: Uri, companions: Mapping[str, Companion]) -> list[StoredSlide]:
    """The slides with their ids, names and companions, sorted by id."""
    by_path: dict[str, StoredSlide] = {}
    for slide in stored:
        path = _below(slides, slide.uri)
        if path in by_path:
            raise DataError(f"{slide.uri} is named twice by the manifest: download the manifest again")
        by_path[path] = slide
    ids = slide_ids(by_path, {path for path, slide in by_path.items() if slide.picture})
    names = Counter(normal(slide.name) for slide in by_path.values())
    named = []
    for path, slide in by_path.items():
        folder = companion_folder(slide.uri)
        named.append(
            replace(
                slide,
                slide_id=ids[path],
                path=path,
                alone=names[normal(slide.name)] == 1,
                companion=companions.get(folder.path) if folder else None,
            )
        )
    return sorted(named, key=lambda slide: slide.slide_id)


def _of_manifest(rows: list[dict[str, str]], slides: Uri, present: dict[Uri, Entry] | None) -> list[StoredSlide]:
    """The manifest's slides where they lie; ``present`` is None where the place cannot be listed."""
    stored = []
    for row in rows:
        if not is_slide(row["filename"]):
            continue
        candidates = [slides / row["id"] / row["filename"], slides / row["filename"]]
        size = int(row["size"])
        uri = candidates[0] if present is None else next((uri for uri in candidates if uri in present), candidates[0])
        entry = (present or {}).get(uri)
        there = size if present is None else entry.bytes if entry else None
        stored.append(StoredSlide("", uri, there, row["md5"], size, mark=entry.mark if entry else ""))
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
