"""Slides without labels: where they lie, whose they are, and which of them are known to extraction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pathology.cohort import columns
from pathology.cohort.columns import candidates, find_column
from pathology.cohort.formats import strip_slide_suffix, suffix_of
from pathology.cohort.labels import path_key
from pathology.cohort.slide_ids import READABLE
from pathology.cohort.slides import HIDDEN, FoundSlides, StoredSlide, find_slides
from pathology.cohort.table import SUFFIXES, WORKBOOK, Table, read_table
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.slides import SlideToExtract
from pathology.contracts.identifiers import fault, normal, printable
from pathology.contracts.settings import COARSEST_MPP, FINEST_MPP
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri
from pathology.wsi.layout import FeatureLayout

AT_ONCE = 8
"""Sidecars in flight."""


@dataclass(frozen=True)
class Listed:
    """What a table says of its slides: the cells that name them in order, patients and scales by :func:`key`."""

    where: str
    slides: tuple[str, ...]
    patients: Mapping[str, str] = field(default_factory=dict)
    mpps: Mapping[str, float] = field(default_factory=dict)


def is_table(uri: Uri) -> bool:
    """Whether a URI names a table and not a folder."""
    return suffix_of(uri.name) in (*SUFFIXES, WORKBOOK)


def key(text: str) -> str:
    """A slide's name or path without its extension, as they are compared."""
    whole = path_key(text)
    name = whole.rpartition("/")[2]
    return whole[: len(whole) - len(name)] + normal(strip_slide_suffix(name))


def read_listed(path: Path, *, patients: bool) -> Listed:
    """A table with a column of slides, and of patients where it must (``patients``) or does have one.

    Raises:
        DataError: for a table that cannot be read, without these columns, or in which a slide has two patients or a scale that is none.
    """
    kinds = (columns.SLIDE, columns.PATIENT) if patients else (columns.SLIDE,)
    table = read_table(path, lambda header: all(candidates(header, kind) for kind in kinds))
    roles = {kind.words: find_column(table, kind) for kind in (columns.SLIDE, columns.PATIENT, columns.MPP)}
    lacking = [kind for kind in kinds if roles[kind.words] is None]
    if lacking:
        raise DataError(columns.missing(table, lacking[0], roles))
    return _listed(table, roles)


def _listed(table: Table, roles: Mapping[str, str | None]) -> Listed:
    slide, patient, scale = (roles[kind.words] for kind in (columns.SLIDE, columns.PATIENT, columns.MPP))
    slides: list[str] = []
    patients: dict[str, str] = {}
    mpps: dict[str, float] = {}
    for line, row in table.rows.iterrows():
        name, where = str(row[slide]).strip(), f"{table.where}, line {line}"
        if not name:
            raise DataError(f"{where}: it names no slide: fill it in, or take the line out")
        slides.append(name)
        whose = str(row[patient]).strip() if patient else ""
        if patient and (wrong := fault(whose)):
            raise DataError(f"{where}: the patient {printable(whose)!r} {wrong}")
        if whose and patients.setdefault(key(name), whose) != whose:
            raise DataError(f"{where}: {printable(name)} is of {printable(whose)}, and of {patients[key(name)]} before: keep one")
        if scale and (text := str(row[scale]).strip()):
            mpps[key(name)] = _mpp(text, where)
    if not slides:
        raise DataError(f"{table.where} has a header and no row: check the table")
    return Listed(table.where, tuple(slides), patients, mpps)


def _mpp(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not FINEST_MPP <= value <= COARSEST_MPP:
        raise DataError(f"{where}: {printable(text)!r} is no scale in µm/px: {FINEST_MPP} to {COARSEST_MPP}")
    return value


def find_listed(store: Store, listed: Listed, beside: Uri) -> tuple[FoundSlides, list[str]]:
    """The slides that a table names by URI, or by their path below the folder ``beside`` that the table lies in; those that are gone."""
    wanted = {Uri.parse(text) if "://" in text else beside / text.replace("\\", "/") for text in listed.slides}
    found: list[StoredSlide] = []
    for folder in sorted({uri.parent for uri in wanted}, key=str):
        try:
            there = find_slides(store, folder, None).slides
        except DataError:
            continue  # nothing there: each of its slides is gone
        found += [slide for slide in there if slide.uri in wanted and slide.uri.parent == folder]
    present = {slide.uri for slide in found}
    gone = sorted(str(uri) for uri in wanted if uri not in present)
    return FoundSlides(tuple(sorted(found, key=lambda slide: str(slide.uri))), {}, ()), gone


def other_files(found: FoundSlides) -> list[tuple[str, str]]:
    """Names and reasons of what was found and is not among the slides that are read."""
    unread = [(name, f"{kind}, a format that is not read") for kind, names in found.not_read.items() for name in names]
    return unread + [(name, HIDDEN) for name in found.hidden]


def names_of(slide: StoredSlide) -> Iterable[str]:
    """What a table may call a slide, by :func:`key`, the most certain first: its URI, every end of it with a folder, and its bare name
    where no other has it."""
    text = key(str(slide.uri))
    while "/" in text:
        yield text
        text = text.partition("/")[2]
    if slide.alone:
        yield text


def with_ids(slides: Sequence[StoredSlide]) -> list[StoredSlide]:
    """Slides of several folders: those whose ids are the same get a hash of where they lie."""
    members: dict[str, list[StoredSlide]] = {}
    for slide in slides:
        members.setdefault(slide.slide_id.casefold(), []).append(slide)
    return [
        slide if len(same) == 1 else replace(slide, slide_id=_renamed(slide.slide_id, str(slide.uri)), alone=False)
        for same in members.values()
        for slide in same
    ]


def _renamed(slide_id: str, text: str) -> str:
    return f"{slide_id[:READABLE]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def to_extract(
    slides: Sequence[StoredSlide], mpps: Mapping[str, float], layout: FeatureLayout, store: Store
) -> list[SlideToExtract]:
    """What extraction has to know of each slide, in their order.

    A slide whose features are there keeps what they were made with, such as the md5 of a manifest or the scale of a label table, so
    that they serve again. Where another slide, or another scale, has features under a slide's id, it gets another id: nobody's
    features are written over.
    """
    scales = [next((mpps[name] for name in names_of(slide) if name in mpps), None) for slide in slides]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda slide, mpp: _known(slide, mpp, layout, store), slides, scales))


def _known(slide: StoredSlide, mpp: float | None, layout: FeatureLayout, store: Store) -> SlideToExtract:
    row = SlideToExtract(
        slide_id=slide.slide_id,
        slide_uri=str(slide.uri),
        bytes=slide.total_bytes,
        etag=slide.mark,
        mpp=mpp,
        companion=slide.companion.mark if slide.companion else "",
    )
    try:
        sidecar = layout.read_sidecar(store, row.slide_id)
    except DataError:
        return row  # one that cannot be read is written again by extraction
    if sidecar is None:
        return row
    same_file = sidecar.slide_uri == row.slide_uri
    same_bytes = (sidecar.bytes, sidecar.companion) == (row.bytes, row.companion)
    unchanged = same_file and same_bytes and (sidecar.etag == row.etag if sidecar.etag else bool(sidecar.md5))
    if unchanged and mpp in (None, sidecar.cohort_mpp):
        kept = {name: getattr(sidecar, name) for name in ("md5", "etag", "mask_uri", "mask_sha256")}
        return row.model_copy(update={**kept, "mpp": sidecar.cohort_mpp})
    if not same_file or unchanged:
        return row.model_copy(update={"slide_id": _renamed(row.slide_id, f"{row.slide_uri} {mpp or ''}")})
    return row
