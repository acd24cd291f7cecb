"""Slides prefetched to this host: while one is ending the next is claimed and downloaded by a thread."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pathology.contracts.companion import COMPANION_SUFFIX, Companion, below, companion_folder
from pathology.contracts.errors import DataError
from pathology.contracts.extraction.slides import SlideToExtract
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri
from pathology.wsi.claims import WorkQueue

T = TypeVar("T")

MIN_FREE_BYTES = 1 << 30
"""Bytes of disk that stay free beside a prefetched slide: the features of the one in progress are written there."""

LEAD_FACTOR, LEAD_SECONDS = 1.5, 2.0
"""The next slide is prefetched this many times as long before the one in progress ends as fetching it is expected to take, and these
seconds more. A prefetched slide is lost to hosts with nothing to do: behind a slide that takes long, for long."""

MAX_JOIN_SECONDS = 1.0
"""Closing waits no longer for a download to notice; one that does not notice ends with the process."""


class Fetch:
    """One slide on its way: claimed, then fetched, by a daemon thread that nothing waits for at the end."""

    def __init__(self, take: Callable[[], SlideToExtract | None], fetch: Callable[[SlideToExtract], Path]) -> None:
        self._take, self._fetch = take, fetch
        self._claimed, self._fetched = threading.Event(), threading.Event()
        self._row: SlideToExtract | None = None
        self._path: Path | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._row = self._take()
            self._claimed.set()
            self._path = self._fetch(self._row) if self._row else None
        except BaseException as error:  # raised again where the slide is asked for
            self._error = error
        finally:
            self._claimed.set()
            self._fetched.set()

    def row(self) -> SlideToExtract | None:
        """The slide's row once it is claimed, None when there is none. Raises what claiming raised."""
        self._claimed.wait()
        if self._row is None and self._error is not None:
            raise self._error
        return self._row

    def path(self) -> Path:
        """The slide's file once it is whole and checked. Raises what claiming or fetching it raised."""
        self._fetched.wait()
        if self._error is not None:
            raise self._error
        if self._path is None:
            raise LookupError("no slide is on its way")
        return self._path

    def join(self, seconds: float) -> None:
        """Wait for the thread, no longer than that."""
        self._thread.join(seconds)


def lead(seconds: float) -> float:
    """How many seconds before the slide in progress ends the next is prefetched, if fetching it takes ``seconds``."""
    return LEAD_FACTOR * seconds + LEAD_SECONDS


class SlidePrefetcher:
    """This host's slides in the order that it takes them, at most two of them on its disk: the one in progress and the next.

    ``folder`` is made, used and removed by this process alone; ``mount`` is where ``efs://`` slides are mounted, if they are;
    ``sharing`` processes use the disk, each of which may send for a slide as large at the same moment.
    Iterate for the rows, ask :meth:`local` for the file of each before the next, and say how far it is by :meth:`progress`.
    """

    def __init__(self, store: Store, queue: WorkQueue, folder: Path, mount: Path | None = None, sharing: int = 1) -> None:
        self.store, self.queue, self.folder, self.mount, self.sharing = store, queue, folder, mount, sharing
        self.slide_stall_seconds = 0.0
        """Spent waiting for a slide to be claimed or to arrive."""
        self._seconds_per_byte = 0.0
        """Of the last slide that was fetched."""
        self._in_progress_since = 0.0
        self._current: Fetch | None = None
        self._next: Fetch | None = None
        self._room = threading.Event()
        self._room.set()
        self._closed = False

    def __enter__(self) -> SlidePrefetcher:
        # Left by this process before a restart: the folder bears its name, so no other can be writing there.
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._room.set()
        shutil.rmtree(self.folder, ignore_errors=True)  # a download that continues has no folder to end in
        if self._next is not None:
            self._next.join(MAX_JOIN_SECONDS)
        if self._current is not None:
            self._current.join(MAX_JOIN_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __iter__(self) -> Iterator[SlideToExtract]:
        while True:
            self._current, self._next = self._next or self._start_fetch(), None
            row = self._stalled(self._current.row)
            if row is None:
                return
            yield row

    @contextmanager
    def local(self) -> Iterator[Path]:
        """The file of the slide in progress, deleted afterwards where it was downloaded.

        Raises:
            DataError: when it is not there, or is not the one that the cohort names.
        """
        if self._current is None:
            raise LookupError("no slide is in progress")
        path = self._stalled(self._current.path)
        self._room.clear()
        self._in_progress_since = time.monotonic()
        try:
            yield path
        finally:
            self._drop(path)
            self._room.set()

    def progress(self, done: int, total: int) -> None:
        """Of the slide in progress ``done`` tiles of ``total`` are embedded: prefetch the next one once it is time."""
        if self._next is not None or done == 0:
            return
        left = (time.monotonic() - self._in_progress_since) * (total - done) / done
        if left <= lead(self.queue.largest * self._seconds_per_byte):
            self._next = self._start_fetch()

    def _stalled(self, wait: Callable[[], T]) -> T:
        since = time.monotonic()
        try:
            return wait()
        finally:
            self.slide_stall_seconds += time.monotonic() - since

    def _start_fetch(self) -> Fetch:
        return Fetch(self.queue.take, self._fetch)

    def _fetch(self, row: SlideToExtract) -> Path:
        uri = Uri.parse(row.slide_uri)
        mount = self.mount if uri.scheme == "efs" else None
        if mount is None and shutil.disk_usage(self.folder).free < self.sharing * (row.bytes + MIN_FREE_BYTES):
            self._room.wait()
        if self._closed:
            raise DataError(f"{row.slide_uri}: the host was stopped before it was downloaded")
        since = time.monotonic()
        path = self._download(uri, row) if mount is None else _mounted(mount, uri, row)
        self._seconds_per_byte = (time.monotonic() - since) / max(1, slide_bytes(path))
        return path

    def _download(self, uri: Uri, row: SlideToExtract) -> Path:
        # OpenSlide knows formats by suffixes in lower case.
        path = self.folder / f"{row.slide_id}{PurePosixPath(uri.path).suffix.lower()}"
        try:
            self.store.download(uri, path)
            self._download_companion(uri, path, row)
            check_slide(path, row)
        except BaseException:
            self._drop(path)
            raise
        return path

    def _download_companion(self, uri: Uri, path: Path, row: SlideToExtract) -> None:
        """The folder that belongs to the file, where one does, as it was when the cohort was made."""
        source = companion_folder(uri)
        if source is None:
            return
        entries = list(self.store.list(source))
        if Companion.of(source, entries).mark != row.companion:
            raise DataError(f"its folder {source} is not as it was when the cohort was made: prepare the cohort again")
        for entry in entries:
            self.store.download(entry.uri, path.with_suffix("") / below(source, entry))

    def _drop(self, path: Path) -> None:
        if path.is_relative_to(self.folder):
            path.unlink(missing_ok=True)
            if path.suffix == COMPANION_SUFFIX:
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)


def _mounted(mount: Path, uri: Uri, row: SlideToExtract) -> Path:
    # The channel mounts the first folder of the file system: efs://id/datasets/x.svs is <slides>/x.svs.
    path = mount.joinpath(*PurePosixPath(uri.path).parts[1:])
    check_slide(path, row)
    return path


def slide_bytes(path: Path) -> int:
    """Bytes of a slide's file, with those of the folder that belongs to it."""
    folder = path.with_suffix("")
    others = folder.rglob("*") if path.suffix.lower() == COMPANION_SUFFIX else ()
    return path.stat().st_size + sum(other.stat().st_size for other in others if other.is_file())


def check_slide(path: Path, row: SlideToExtract) -> None:
    """Hold a slide's file against the cohort's size and, where it has one, md5.

    Raises:
        DataError: when it is missing, or another.
    """
    if not path.is_file():
        raise DataError(f"{row.slide_uri}: there is no such slide")
    size = slide_bytes(path)
    if row.bytes and size != row.bytes:
        raise DataError(f"its file has {size} bytes and the cohort says {row.bytes}: it changed, or is not whole")
    if row.md5:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if digest != row.md5:
            raise DataError(f"its md5 is {digest} and the cohort says {row.md5}: it changed, or is damaged")
