"""Removing objects: the one thing that no job may do, so that a job's store has no word for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from pathology.contracts.storage import FolderStore, S3Store, Store
from pathology.contracts.uris import Uri

BATCH = 1000
"""Objects of one DeleteObjects: the most that it takes."""


def remove(store: Store, uris: Sequence[Uri]) -> dict[Uri, str]:
    """Remove objects; what could not be removed, and why. One that is gone already is as good as removed."""
    if isinstance(store, FolderStore):
        return _unlink(store, uris)
    failed: dict[Uri, str] = {}
    for start in range(0, len(uris), BATCH):
        failed |= _delete(cast(S3Store, store), uris[start : start + BATCH])
    return failed


def _unlink(store: FolderStore, uris: Sequence[Uri]) -> dict[Uri, str]:
    failed = {}
    for uri in uris:
        try:
            uri.under(store.root).unlink(missing_ok=True)
        except OSError as error:
            failed[uri] = os.strerror(error.errno) if error.errno else str(error)
    return failed


def _delete(store: S3Store, uris: Sequence[Uri]) -> dict[Uri, str]:
    bucket = uris[0].root
    objects = [{"Key": uri.path} for uri in uris]
    answer = store.client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    return {Uri("s3", bucket, one["Key"]): f"{one['Code']}: {one.get('Message', '')}" for one in answer.get("Errors", [])}


def remove_empty(store: Store, uri: Uri) -> None:
    """Take away the folders that removing objects left empty, ``uri`` too: S3 has none."""
    if isinstance(store, FolderStore):
        top = uri.under(store.root)
        for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        with suppress(OSError):
            top.rmdir()
