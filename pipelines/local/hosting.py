"""What hosting keeps: a file a model and a configuration, a folder an endpoint; and the process that holds an endpoint up.

That process, the front, holds a file lock for as long as it lives, as a runner does: an endpoint whose lock is free has none any more.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.local import processes
from pipelines.local.damage import ENDPOINT, DamagedError
from pipelines.local.entry_point import REPOSITORY
from pipelines.local.locks import locked, take_lock
from pipelines.local.records import EndpointRecord
from pipelines.local.state import now, read_json, write_json

GONE = "its process is gone, ended by somebody or with the machine: delete it and deploy it again"


def model_path(root: Path, name: str) -> Path:
    """A model's record below the state's folder."""
    return root / "models" / f"{name}.json"


def config_path(root: Path, name: str) -> Path:
    """An endpoint configuration's record below the state's folder."""
    return root / "endpoint-configs" / f"{name}.json"


def hosted(root: Path, name: str) -> Hosted:
    """An endpoint's folder below the state's folder."""
    return Hosted(root / "endpoints" / name)


@dataclass(frozen=True)
class Hosted:
    """One endpoint's folder: endpoint.json, endpoint.log, front.lock, and servers/ with a root and a log for each server."""

    folder: Path

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.folder.name

    @property
    def record_path(self) -> Path:
        """endpoint.json."""
        return self.folder / "endpoint.json"

    @property
    def log_path(self) -> Path:
        """What became of the endpoint, a line each; what its servers say is in their own logs."""
        return self.folder / "endpoint.log"

    @property
    def servers(self) -> Path:
        """A folder for each server, numbered as they came, in place of its /opt/ml; their logs beside them."""
        return self.folder / "servers"

    @property
    def record(self) -> EndpointRecord | None:
        """The endpoint as it stands on disk; None when there is none.

        Raises:
            DamagedError: when the record cannot be read, or is gone of an endpoint that had a process.
        """
        record: EndpointRecord | None = read_json(self.record_path, ENDPOINT)
        if record is None and self.log_path.is_file():
            raise DamagedError(self.record_path, "is gone")
        return record

    def change(self, change: Callable[[EndpointRecord], None]) -> None:
        """Change the record under its lock; nothing where it is gone by then."""
        with locked(self.record_path.with_suffix(".lock")):
            record = self.record
            if record is not None:
                change(record)
                record["LastModifiedTime"] = now()
                write_json(self.record_path, record)

    def log(self, line: str) -> None:
        """One line of the endpoint's log."""
        with self.log_path.open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {' '.join(line.split())}\n")

    def take_lock(self) -> int | None:
        """The front's lock, or None while a front lives, and where the endpoint is gone."""
        with suppress(FileNotFoundError):
            return take_lock(self.folder / "front.lock")
        return None

    def remove(self) -> None:
        """All that there is of it, at one blow: it is moved away first, so that another of its name may be made meanwhile."""
        aside = self.folder.parent.with_name("deleted-endpoints") / f"{self.name}-{secrets.token_hex(4)}"
        aside.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            self.folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)


def fail(record: EndpointRecord, reason: str) -> None:
    """The endpoint of this record has failed, and whatever it was to become is off."""
    for member in ("Pending", "Restarting"):
        record.pop(member, None)  # type: ignore[misc]
    record.update({"EndpointStatus": "Failed", "FailureReason": reason[:1024]})


def serves_again(record: EndpointRecord) -> None:
    """The endpoint's server is there again."""
    record.pop("Restarting", None)


def spawn(root: Path, endpoint: Hosted, lock: int) -> None:
    """Start an endpoint's front with the lock in its hands, detached from the terminal; this process lets go of the lock."""
    try:
        with endpoint.log_path.open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "pipelines.local.front", str(root), endpoint.name],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock],
            )
    finally:
        os.close(lock)


def reap_dead_front(endpoint: Hosted) -> None:
    """An endpoint whose front is gone without having said so has failed, and what it still runs is ended; one that was being deleted
    is gone."""
    record = endpoint.record
    if record is None or record["EndpointStatus"] == "Failed":
        return
    lock = endpoint.take_lock()
    if lock is None:
        return
    try:
        record = endpoint.record
        if record is None or record["EndpointStatus"] == "Failed":
            return
        processes.end_orphans(endpoint.folder)
        if record["EndpointStatus"] == "Deleting":
            endpoint.remove()
            return
        endpoint.change(lambda record: fail(record, GONE))
        endpoint.log(f"Failed: {GONE}")
    finally:
        os.close(lock)


def url_of(root: Path, name: str) -> str | None:
    """Where an endpoint of this machine answers, such as ``http://127.0.0.1:40001``: GET /ping and POST /invocations below it. None for
    one that is not there, or has no process.

    Raises:
        DamagedError: when its record cannot be read.
    """
    endpoint = hosted(root, name)
    record = endpoint.record
    if record is None:
        return None
    reap_dead_front(endpoint)
    record = endpoint.record
    return None if record is None or record["EndpointStatus"] == "Failed" else record.get("Url")
