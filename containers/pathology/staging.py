"""Copies of what S3 holds on the file system that training reads: made where absent or changed, proven by hash."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pathology.contracts.encoder import MANIFEST, EncoderManifest
from pathology.contracts.errors import DataError
from pathology.contracts.hashes import sha256_of
from pathology.contracts.staging import StagingRow
from pathology.contracts.storage import Store, atomic_write, temp_sibling
from pathology.contracts.uris import Uri

COPIES_AT_ONCE = 8
"""Objects in flight: the latency of S3 and EFS is hidden, the memory of a small instance is not at risk."""


@dataclass(frozen=True)
class Staged:
    """How many files were copied, their bytes, and how many were there already."""

    copied: int = 0
    bytes: int = 0
    kept: int = 0

    def __add__(self, other: Staged) -> Staged:
        return Staged(self.copied + other.copied, self.bytes + other.bytes, self.kept + other.kept)

    def __str__(self) -> str:
        return f"{self.copied} copied ({self.bytes:,} bytes), {self.kept} unchanged"


T = TypeVar("T")


def stage_each(stage: Callable[[T], Staged], items: Iterable[T]) -> Staged:
    """Stage all items, :data:`COPIES_AT_ONCE` at a time. Raises what the first that fails raises."""
    with ThreadPoolExecutor(COPIES_AT_ONCE) as pool:
        return sum(pool.map(stage, items), Staged())


def stage_files(store: Store, rows: Iterable[StagingRow], root: Path) -> Staged:
    """Copy the files of staging.csv below ``root``.

    Raises:
        DataError: naming the object that is gone or is another than the table says.
    """

    def stage(row: StagingRow) -> Staged:
        uri = Uri.parse(row.uri)
        return stage_file(store, uri, root.joinpath(*PurePosixPath(row.target).parts), row.sha256, uri.name)

    return stage_each(stage, rows)


def stage_file(store: Store, source: Uri, target: Path, sha256: str, what: str) -> Staged:
    """Make ``target`` the file with this hash.

    Beside it lies ``<name>.sha256`` with the hash, size and time of the proven copy, so that an unchanged file is not read
    again; a copy that changed since is hashed, and replaced where it is another.

    Raises:
        DataError: when the object is gone or has another hash.
    """
    mark = target.with_name(f"{target.name}.sha256")
    if target.is_file() and (_reads(mark) == _mark(target, sha256) or sha256_of(target) == sha256):
        write_mark(mark, target, sha256)
        return Staged(kept=1)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temp_sibling(target)
    try:
        _download(store, source, temporary, what)
        actual = sha256_of(temporary)
        if actual != sha256:
            raise DataError(
                f"{what}: {source} has the sha256 {actual[:12]}…, not {sha256[:12]}…: it changed since it was prepared: prepare it again"
            )
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    write_mark(mark, target, sha256)
    return Staged(copied=1, bytes=target.stat().st_size)


def _download(store: Store, source: Uri, target: Path, what: str) -> None:
    try:
        store.download(source, target)
    except DataError as error:
        raise DataError(f"{what}: {error}; it is gone since it was collected: extract or upload it again") from None


def _reads(mark: Path) -> str:
    return mark.read_text() if mark.is_file() else ""


def _mark(target: Path, sha256: str) -> str:
    status = target.stat()
    return f"{sha256} {status.st_size} {status.st_mtime_ns}\n"


def write_mark(mark: Path, target: Path, sha256: str) -> None:
    """Note what was proven of ``target``, unless it is noted already."""
    text = _mark(target, sha256)
    if _reads(mark) != text:
        atomic_write(mark, text.encode())


def stage_encoder(store: Store, encoder: Uri, meant: EncoderManifest, root: Path) -> Staged:
    """Copy an encoder's checkpoint and then its manifest to ``<root>/<name>/``; the old manifest goes before its checkpoint does.

    Raises:
        DataError: when either is gone, the manifest is not the one that is ``meant``, or the checkpoint is not the manifest's.
    """
    content = store.read(encoder / MANIFEST)
    manifest: EncoderManifest = EncoderManifest.from_json(content, str(encoder / MANIFEST))
    if manifest != meant:
        raise DataError(f"{encoder / MANIFEST} is not what it was when the run began: start again")
    folder = root / manifest.name
    staged_manifest = folder / MANIFEST
    same_manifest = staged_manifest.is_file() and staged_manifest.read_bytes() == content
    if not same_manifest:
        staged_manifest.unlink(missing_ok=True)
    staged = stage_file(
        store, encoder / manifest.checkpoint, folder / manifest.checkpoint, manifest.sha256, f"encoder {manifest.name}"
    )
    if same_manifest:
        return staged + Staged(kept=1)
    atomic_write(staged_manifest, content)
    return staged + Staged(copied=1, bytes=len(content))
