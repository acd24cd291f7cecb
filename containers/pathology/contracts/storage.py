"""One interface to ``s3://`` and ``efs://``: an S3 client from the caller, or plain folders where a run is local."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pathology.contracts.errors import DataError
from pathology.contracts.uris import Uri


@dataclass(frozen=True)
class Entry:
    """An object: its URI, its size in bytes, a mark that changes when it does (ETag in S3, time in a folder), and when it last did."""

    uri: Uri
    bytes: int
    mark: str
    modified: datetime


class Store(Protocol):
    """What jobs do with objects. Writes are whole or not at all."""

    def read(self, uri: Uri) -> bytes:
        """The object's bytes. Raises DataError when it is not there."""

    def open(self, uri: Uri) -> BinaryIO:
        """The object to be read once, from its beginning on; whoever opens it closes it. Raises DataError when it is not there."""

    def write(self, uri: Uri, content: bytes) -> None:
        """Put an object, replacing what was there."""

    def create(self, uri: Uri, content: bytes) -> bool:
        """Put an object only if there is none; whether this call did it. Exactly one of several callers gets True."""

    def entry(self, uri: Uri) -> Entry | None:
        """The object's size, or None when it is not there."""

    def list(self, uri: Uri) -> Iterator[Entry]:
        """Objects below ``uri``, sorted by URI; none when there is nothing."""

    def download(self, uri: Uri, path: Path) -> None:
        """Copy an object to a file, by a temporary name. Raises DataError when it is not there."""

    def fetch(self, uri: Uri, path: Path) -> None:
        """A file to read at ``path`` with the object's bytes: a link where objects are files. Raises DataError when it is not there."""

    def upload(self, path: Path, uri: Uri) -> None:
        """Copy a file to an object, replacing what was there."""


def _gone(uri: Uri) -> DataError:
    return DataError(f"{uri}: there is no such object")


def temp_sibling(path: Path) -> Path:
    """A hidden name beside ``path`` that no other process takes, on the same file system so that a rename is atomic."""
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def atomic_write(path: Path, content: bytes, check: Callable[[Path], object] | None = None, *, flush: bool = True) -> None:
    """Write a temporary file beside, fsync, ``check`` it there, rename: a reader sees the old or the new, never a part.

    ``flush=False`` leaves the fsync out, for what may be lost with the machine's power but not with a process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temp_sibling(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        if check is not None:
            check(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_copy(source: Path, target: Path) -> None:
    """Copy a file to a temporary one beside the target, fsync, rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temp_sibling(target)
    try:
        shutil.copyfile(source, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class FolderStore:
    """Buckets and file systems as folders: ``root/s3/<bucket>/<key>``, ``root/efs/<file system>/<path>``."""

    root: Path

    def _path(self, uri: Uri) -> Path:
        return uri.under(self.root)

    def read(self, uri: Uri) -> bytes:
        try:
            return self._path(uri).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise _gone(uri) from None

    def open(self, uri: Uri) -> BinaryIO:
        try:
            return self._path(uri).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise _gone(uri) from None

    def write(self, uri: Uri, content: bytes) -> None:
        atomic_write(self._path(uri), content)

    def create(self, uri: Uri, content: bytes) -> bool:
        path = self._path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temp_sibling(path)
        try:
            temporary.write_bytes(content)
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def entry(self, uri: Uri) -> Entry | None:
        path = self._path(uri)
        return self._entry(uri, path) if path.is_file() else None

    @staticmethod
    def _entry(uri: Uri, path: Path) -> Entry:
        status = path.stat()
        return Entry(uri, status.st_size, str(status.st_mtime_ns), datetime.fromtimestamp(status.st_mtime, UTC))

    def list(self, uri: Uri) -> Iterator[Entry]:
        top = self._path(uri)
        base = Uri(uri.scheme, uri.root, "").under(self.root)
        for path in sorted(top.rglob("*")) if top.is_dir() else []:
            if path.is_file() and not path.name.startswith("."):
                yield self._entry(Uri(uri.scheme, uri.root, path.relative_to(base).as_posix()), path)

    def download(self, uri: Uri, path: Path) -> None:
        source = self._path(uri)
        if not source.is_file():
            raise _gone(uri)
        atomic_copy(source, path)

    def fetch(self, uri: Uri, path: Path) -> None:
        source = self._path(uri)
        if not source.is_file():
            raise _gone(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(source.absolute())

    def upload(self, path: Path, uri: Uri) -> None:
        atomic_copy(path, self._path(uri))


class S3Store:
    """Objects in S3 through boto3; ``efs://`` is refused, since a file system is mounted, never called."""

    def __init__(self, client: Any) -> None:
        self.client = client

    @staticmethod
    def _address(uri: Uri) -> dict[str, str]:
        if uri.scheme != "s3":
            raise DataError(f"{uri}: a job reads EFS from its channel's mount, not by URI")
        return {"Bucket": uri.root, "Key": uri.path}

    @staticmethod
    def _code(error: Exception) -> str:
        return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))

    def read(self, uri: Uri) -> bytes:
        with self.open(uri) as body:
            return bytes(body.read())

    def open(self, uri: Uri) -> BinaryIO:
        try:
            body: BinaryIO = self.client.get_object(**self._address(uri))["Body"]
            return body
        except self.client.exceptions.ClientError as error:
            if self._code(error) in {"NoSuchKey", "NoSuchBucket", "404"}:
                raise _gone(uri) from None
            raise

    def write(self, uri: Uri, content: bytes) -> None:
        self.client.put_object(Body=content, **self._address(uri))

    def create(self, uri: Uri, content: bytes) -> bool:
        try:
            self.client.put_object(Body=content, IfNoneMatch="*", **self._address(uri))
        except self.client.exceptions.ClientError as error:
            if self._code(error) in {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}:
                return False
            raise
        return True

    def entry(self, uri: Uri) -> Entry | None:
        try:
            head = self.client.head_object(**self._address(uri))
            return Entry(uri, head["ContentLength"], head["ETag"], head["LastModified"])
        except self.client.exceptions.ClientError as error:
            if self._code(error) in {"NoSuchKey", "NoSuchBucket", "404"}:
                return None
            raise

    def list(self, uri: Uri) -> Iterator[Entry]:
        self._address(uri)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=uri.root, Prefix=f"{uri.path}/" if uri.path else "")
        for page in pages:
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):
                    yield Entry(Uri("s3", uri.root, item["Key"]), item["Size"], item["ETag"], item["LastModified"])

    def download(self, uri: Uri, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temp_sibling(path)
        address = self._address(uri)
        try:
            self.client.download_file(address["Bucket"], address["Key"], str(temporary))
            temporary.replace(path)
        except self.client.exceptions.ClientError as error:
            if self._code(error) in {"NoSuchKey", "NoSuchBucket", "404"}:
                raise _gone(uri) from None
            raise
        finally:
            temporary.unlink(missing_ok=True)

    def fetch(self, uri: Uri, path: Path) -> None:
        self.download(uri, path)

    def upload(self, path: Path, uri: Uri) -> None:
        address = self._address(uri)
        self.client.upload_file(str(path), address["Bucket"], address["Key"])
