"""A Training job's checkpoints as the service keeps them: a copy of the prefix in the job, and what the job writes copied back."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from pathology.contracts.storage import FolderStore, atomic_copy
from pathology.contracts.uris import Uri

SYNC_SECONDS = 1.0
"""Between two looks at what a running job has written."""


class CheckpointSync:
    """The folder of one host and the prefix ``uri`` behind it. Files go up as they change; nothing is ever deleted there."""

    def __init__(self, store: FolderStore, uri: Uri, folder: Path) -> None:
        self.store, self.uri, self.folder = store, uri, folder
        self._seen: dict[Path, tuple[int, int]] = {}
        self._looked = time.monotonic()

    def restore(self) -> None:
        """Copy every object whose key begins with the prefix into the job: without a slash at the end that means neighbours too."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for entry in self.store.list(self.uri.parent):
            if entry.uri.path.startswith(self.uri.path):
                path = self.folder / entry.uri.path[len(self.uri.path) :].lstrip("/")
                atomic_copy(entry.uri.under(self.store.root), path)
                self._seen[path] = _mark(path)

    def push(self) -> None:
        """Copy what the job has written since the last time, and not what was only restored: another job may have replaced it."""
        self._looked = time.monotonic()
        for path in sorted(self.folder.rglob("*")):
            if path.name.startswith("."):
                continue
            try:
                mark = _mark(path)
                if path.is_file() and self._seen.get(path) != mark:
                    self.store.upload(path, self.uri / path.relative_to(self.folder).as_posix())
                    self._seen[path] = mark
            except FileNotFoundError:
                continue  # the job has replaced or removed it meanwhile: the next look sees what is there

    def push_now_and_then(self) -> None:
        """As :meth:`push`, where the last one is a while ago."""
        if time.monotonic() - self._looked >= SYNC_SECONDS:
            self.push()

    def close(self) -> None:
        """Copy the last files and drop the job's own copy, which may be many gigabytes."""
        self.push()
        shutil.rmtree(self.folder, ignore_errors=True)


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
