"""Pictures of the items that differ most, where the items are PNG files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pathology.contracts.errors import DataError, RequestError

from pipelines.service.results import location

if TYPE_CHECKING:
    from pathology.contracts.comparison.result import DifferentItem
    from pathology.contracts.uris import Uri

    from pipelines.service.comparing import Compared
    from pipelines.service.session import Session

SHOWN = 12
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
"""Chunks that a picture is made of; the others may say who made it, where and when."""
_MAX_BYTES = 2**20


def png_uris(session: Session, found: Compared) -> tuple[list[tuple[DifferentItem, str]], list[str]]:
    """The first items with their pictures as ``data:`` URIs, and a line on those that cannot be shown; nothing where items are no PNG."""
    if found.images is None:
        return [], []
    chosen = [item for item in found.comparison.different[:SHOWN] if item.item.lower().endswith(".png")]
    pictures, missing = [], []
    for item in chosen:
        uri = found.images / item.item
        try:
            content = _read(session, uri, found.contents.get(item.item, ""))
        except (DataError, RequestError) as error:
            missing.append(str(error))
        else:
            pictures.append((item, "data:image/png;base64," + base64.b64encode(content).decode()))
    return pictures, [f"{len(missing)} of {len(chosen)} pictures cannot be shown: {missing[0]}"] if missing else []


def _read(session: Session, uri: Uri, sha256: str) -> bytes:
    where, entry = location(session, uri), session.store.entry(uri)
    if entry is None or entry.bytes > _MAX_BYTES:
        raise DataError(f"{where}: {'is not there' if entry is None else f'has {entry.bytes:,} bytes'}")
    content = session.store.read(uri)
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{where}: is not the file that was evaluated (its sha256 is another)")
    return pixels_alone(content, where)


def pixels_alone(content: bytes, where: str) -> bytes:
    """A PNG without what is not needed to see it, such as who made it, where and when.

    Raises:
        DataError: when it is no PNG, or is cut.
    """
    if not content.startswith(_SIGNATURE):
        raise DataError(f"{where}: is no PNG")
    return _SIGNATURE + b"".join(whole for kind, whole in _chunks(content, where) if kind in _PIXELS)


def _chunks(content: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of each chunk: length, kind, data, checksum (PNG, third edition, 5.3)."""
    start, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        kind = content[start + 4 : start + 8]
        if len(kind) < 4 or end > len(content):
            raise DataError(f"{where}: is a damaged PNG")
        yield kind, content[start:end]
        start = end
