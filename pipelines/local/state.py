"""Local state: plain JSON files below one folder, each written whole by a rename, so that any process may die at any moment."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pathology.contracts.storage import FolderStore, atomic_write, temp_sibling

from pipelines.local.damage import DEFINITION, EXECUTION, DamagedError, Members, check_step, parse, whole
from pipelines.local.locks import locked, take_lock
from pipelines.local.records import ExecutionRecord, StepRecord
from steps.shapes import Definition

ACCOUNT = "000000000000"
REGION = "us-east-1"


def now() -> str:
    """The time as it is kept in files."""
    return datetime.now(UTC).isoformat()


def arn(resource: str) -> str:
    """``arn:aws:sagemaker:us-east-1:000000000000:<resource>``."""
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{resource}"


_FREE_TEXT = frozenset({"Environment", "HyperParameters", "CustomerMetadataProperties"})
"""Maps whose keys people choose."""


def with_times(record: Any) -> Any:
    """A record as boto3 answers it: every ``…Time`` and ``Timestamp`` a datetime."""
    if isinstance(record, list):
        return [with_times(item) for item in record]
    if not isinstance(record, dict):
        return record
    return {key: value if key in _FREE_TEXT else _with_time(key, value) for key, value in record.items()}


def _with_time(key: str, value: Any) -> Any:
    if isinstance(value, str) and (key.endswith("Time") or key == "Timestamp"):
        return datetime.fromisoformat(value)
    return with_times(value)


def read_json(path: Path, members: Members | None = None) -> Any:
    """A record, or None when there is none; with ``members`` a mapping that has them.

    Raises:
        DamagedError: for a file that holds something else.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    record = parse(path, content)
    return record if members is None else whole(path, record, members)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the disk within this name ``path``: a full disk names no file, and a temporary one tells nobody anything."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def write_json(path: Path, record: Any) -> None:
    """Write a record whole, replacing what was there. Not flushed to the disk: a step has many records, and what has to
    outlive a power cut is what jobs write."""
    with naming(path):
        atomic_write(path, json.dumps(record, indent=1, ensure_ascii=False).encode(), flush=False)


def create_json(path: Path, record: Any) -> bool:
    """Write a record only if there is none; whether this call did."""
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = temp_sibling(path)
        try:
            beside.write_text(json.dumps(record, indent=1, ensure_ascii=False))
            os.link(beside, path)
        except FileExistsError:
            return False
        finally:
            beside.unlink(missing_ok=True)
        return True


def _execution_of(job: str) -> str:
    """The id of the execution that a job belongs to, from its name: ``pipelines-<id>-<step>-…``."""
    return job.removeprefix("pipelines-").partition("-")[0]


@dataclass(frozen=True)
class State:
    """The folders of one local account."""

    root: Path

    @property
    def store(self) -> FolderStore:
        """Buckets and file systems."""
        return FolderStore(self.root)

    def pipeline(self, name: str) -> Path:
        """A pipeline's record."""
        return self.root / "pipelines" / f"{name}.json"

    def job(self, name: str) -> Path:
        """What Describe answers of a job."""
        return self.root / "jobs" / f"{name}.json"

    def described(self, resource: str) -> Path:
        """What Describe answers of the job or model package with this ARN."""
        kind, _, name = resource.rpartition(":")[2].partition("/")
        if kind == "model-package":
            group, _, number = name.rpartition("/")
            return self.group(group) / f"{number}.json"
        return self.job(name)

    def job_folder(self, name: str) -> Path:
        """Where a job's hosts have their roots and their logs."""
        return self.execution(_execution_of(name)).folder / "jobs" / name

    def job_logs(self, name: str) -> list[Path]:
        """A job's logs, one a host, in the order of hosts; they grow while it runs. Empty for a job that started nothing."""
        paths = self.job_folder(name).glob("algo-*.log")
        return sorted(paths, key=lambda path: int(path.stem.removeprefix("algo-")))

    def tokens(self, pipeline: str) -> Path:
        """Which executions a pipeline's ClientRequestTokens started: a file a token."""
        return self.root / "pipelines" / f"{pipeline}.tokens"

    def group(self, name: str) -> Path:
        """A model package group's folder: group.json and one file a version."""
        return self.root / "model-packages" / name

    def group_record(self, name: str) -> Path:
        """A model package group's own record."""
        return self.group(name) / "group.json"

    def cached(self, key: str) -> Path:
        """Which job answers a cache key."""
        return self.root / "cache" / f"{key}.json"

    def execution(self, identity: str) -> Execution:
        """An execution's folder."""
        return Execution(self.root / "executions" / identity)

    def executions(self, damaged: list[Execution] | None = None) -> list[tuple[Execution, ExecutionRecord]]:
        """Every execution with its record, oldest first. Those whose record cannot be read are none of them: they are appended to
        ``damaged``."""
        known = []
        for path in sorted((self.root / "executions").glob("*/")):
            execution = Execution(path)
            try:
                if record := execution.record:
                    known.append((execution, record))
            except DamagedError:
                if damaged is not None:
                    damaged.append(execution)
        return sorted(known, key=lambda pair: (pair[1]["CreationTime"], pair[0].identity))

    def new_execution(self) -> Execution:
        """A fresh execution with an id in the service's form: 12 lower-case letters and digits."""
        while True:
            execution = self.execution("".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(12)))
            try:
                execution.folder.mkdir(parents=True)
            except FileExistsError:
                continue
            return execution


@dataclass(frozen=True)
class Execution:
    """One execution's folder: execution.json, definition.json, steps/, jobs/, runner.lock, runner.log."""

    folder: Path

    @property
    def identity(self) -> str:
        """The execution's id."""
        return self.folder.name

    @property
    def record_path(self) -> Path:
        """execution.json."""
        return self.folder / "execution.json"

    @property
    def record(self) -> ExecutionRecord:
        """The execution as it stands on disk; nothing while it is being made.

        Raises:
            DamagedError: when the record cannot be read, or is gone of an execution that had a runner.
        """
        record: ExecutionRecord | None = read_json(self.record_path, EXECUTION)
        if record is None and (self.folder / "runner.log").is_file():
            raise DamagedError(self.record_path, "is gone")
        return record or {}

    def change(self, change: Callable[[ExecutionRecord], None]) -> None:
        """Change the record under its lock."""
        with locked(self.folder / "record.lock"):
            record = self.record
            change(record)
            record["LastModifiedTime"] = now()
            write_json(self.record_path, record)

    @property
    def made(self) -> datetime:
        """About when it was started, by its files: for one whose record does not say."""
        path = self.definition_path if self.definition_path.exists() else self.folder
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)

    @property
    def definition_path(self) -> Path:
        """The text of the definition that it started with."""
        return self.folder / "definition.json"

    @property
    def definition(self) -> Definition:
        """The definition that it started with.

        Raises:
            DamagedError: when it is gone, or no definition.
        """
        definition: Definition | None = read_json(self.definition_path, DEFINITION)
        if definition is None:
            raise DamagedError(self.definition_path, "is gone")
        return definition

    def step(self, name: str) -> Path:
        """A step's record."""
        return self.folder / "steps" / f"{name}.json"

    def steps(self) -> list[StepRecord]:
        """Every step that has started, oldest first.

        Raises:
            DamagedError: when a step's record cannot be read.
        """
        paths = sorted((self.folder / "steps").glob("*.json"))
        records = [check_step(path, record) for path in paths if (record := read_json(path)) is not None]
        return sorted(records, key=lambda step: (step["StartTime"], step["StepName"]))

    @property
    def stop_path(self) -> Path:
        """Its presence asks the runner to stop."""
        return self.folder / "stop"

    def take_runner_lock(self) -> int | None:
        """A descriptor that holds the runner's lock, or None while a runner lives. The lock ends with its last holder, so that
        no process id has to be trusted."""
        return take_lock(self.folder / "runner.lock")
