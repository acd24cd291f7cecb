"""Running one job: a subprocess for every host, its log, its end, and what Describe answers of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.storage import FolderStore

from pipelines.local.containers import CONTAINERS, Container
from pipelines.local.state import arn, now

REPOSITORY = Path(__file__).resolve().parents[2]
ENTRY_POINTS = {"pathology-run": REPOSITORY / "containers" / "pathology-run"}
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SSL_CERT_FILE")
_GRACE_SECONDS = 4.0
_POLL_SECONDS = 0.02


class JobError(DataError):
    """A job that failed. ``kind`` is what retry policies look at."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class StoppedError(DataError):
    """A job that was stopped on request."""


@dataclass(frozen=True)
class LocalJob:
    """One attempt of a step: its name, its folder, and whether somebody wants it to stop."""

    name: str
    folder: Path
    stopping: Callable[[], bool]
    cores: int

    def run(self, kind: str, request: dict[str, Any], store: FolderStore) -> dict[str, Any]:
        """Run to the end; what Describe answers.

        Raises:
            JobError: with the job's own last words.
            StoppedError: when it was stopped.
        """
        container = CONTAINERS[kind](self.name, request, store)
        described = _describe(container, request)
        roots = [self.folder / host for host in container.hosts]
        try:
            for root, host in zip(roots, container.hosts, strict=True):
                container.lay_out(root, host)
            command = _entry(container.command)
        except (DataError, RequestError) as error:
            raise JobError(f"ClientError: {error}", "ClientError") from None
        processes = [self._start(command, container, root, store) for root in roots]
        self._wait(container, processes, roots)
        return _ended(container, described, container.collect(roots))

    def _start(self, command: list[str], container: Container, root: Path, store: FolderStore) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment.update(
            PATHOLOGY_ROOT=str(root),
            PATHOLOGY_URI_ROOT=str(store.root),
            OMP_NUM_THREADS=str(max(1, self.cores // len(container.hosts))),
            PYTHONUNBUFFERED="1",
            AWS_EC2_METADATA_DISABLED="true",
        )
        environment.update({key: str(value) for key, value in container.environment.items()})
        with root.with_suffix(".log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self, container: Container, processes: list[subprocess.Popen[bytes]], roots: list[Path]) -> None:
        """Wait for every host; the first that fails, or a stop, ends the others."""
        try:
            while any(process.poll() is None for process in processes):
                if self.stopping():
                    raise StoppedError(f"job {self.name} was stopped")
                if any(process.poll() for process in processes):
                    break
                time.sleep(_POLL_SECONDS)
        finally:
            _end_groups(processes)
        for process, root in zip(processes, roots, strict=True):
            if process.returncode > 0:
                raise JobError(
                    f"AlgorithmError: {_last_words(container, root)}, exit code: {process.returncode}", "AlgorithmError"
                )
        for process, root in zip(processes, roots, strict=True):
            if process.returncode < 0:
                name = signal.Signals(-process.returncode).name
                raise JobError(
                    f"InternalServerError: {root.name} died of {name}; its log ends: {_last_line(root)}",
                    "SageMaker.JOB_INTERNAL_ERROR",
                )


def _entry(command: list[str]) -> list[str]:
    if not command or command[0] not in ENTRY_POINTS:
        raise RequestError(f"only the entry point {', '.join(ENTRY_POINTS)} runs here, not {command[:1]}")
    return [sys.executable, str(ENTRY_POINTS[command[0]]), *command[1:]]


def _end_groups(processes: list[subprocess.Popen[bytes]]) -> None:
    """SIGTERM to what still runs, SIGKILL to what is left after a while; to whole process groups."""
    running = [process for process in processes if process.poll() is None]
    for process in running:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        process.poll()


def _last_line(root: Path) -> str:
    lines = root.with_suffix(".log").read_text(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "(nothing)"


def _last_words(container: Container, root: Path) -> str:
    message = container.message(root)
    return message.read_text(errors="replace").strip() if message.is_file() else _last_line(root)


def _describe(container: Container, request: dict[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in request.items() if key != "Tags"}
    started = now()
    if container.kind == "processing":
        return {
            **own,
            "ProcessingJobName": container.name,
            "ProcessingJobArn": arn(f"processing-job/{container.name}"),
            "ProcessingJobStatus": "InProgress",
            "CreationTime": started,
            "ProcessingStartTime": started,
        }
    return {
        **own,
        "TrainingJobName": container.name,
        "TrainingJobArn": arn(f"training-job/{container.name}"),
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Training",
        "CreationTime": started,
        "TrainingStartTime": started,
        "ModelArtifacts": {"S3ModelArtifacts": ""},
    }


def _ended(container: Container, described: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    ended = now()
    if container.kind == "processing":
        status = {"ProcessingJobStatus": "Completed", "ProcessingEndTime": ended}
    else:
        status = {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed", "TrainingEndTime": ended}
    return {**described, **found, **status, "LastModifiedTime": ended}
