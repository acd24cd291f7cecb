"""Running one job: laid out, started on every host, waited for, and what Describe answers of it meanwhile and after."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.storage import FolderStore

from pipelines.local import processes
from pipelines.local.containers import CONTAINERS, Container
from pipelines.local.definition import job_problems
from pipelines.local.entry_point import command, environment
from pipelines.local.processes import Host
from pipelines.local.state import State, now, write_json
from steps.shapes import Answer, Request

_MAX_SECONDS = 24 * 3600
"""MaxRuntimeInSeconds where the request has none, as in the service."""
_SCRATCH_FOLDERS = ("code", "scratch", "shims")
INTERNAL = "SageMaker.JOB_INTERNAL_ERROR"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class JobError(DataError):
    """A job that failed. ``kind`` is what retry policies look at."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class StoppedError(DataError):
    """A job that was stopped on request."""


@dataclass(frozen=True)
class LocalJob:
    """One attempt of a step: its name, its folder, whether somebody wants it to stop, the cores it may use, and what the run adds to
    its environment."""

    name: str
    folder: Path
    stopping: Callable[[], bool]
    cores: int
    environment: Mapping[str, str]

    def run(self, kind: str, request: Request, state: State) -> Answer:
        """Run to the end; what Describe answers, which is also kept in the state from the start on.

        Raises:
            JobError: with the job's failure reason.
            StoppedError: when it was stopped.
        """
        container = CONTAINERS[kind](self.name, request, state.store)
        described = self._keep(state, container.describe())
        try:
            faults = _faults(kind, request)
            if faults:
                raise RequestError("; ".join(faults))
            results = self._run(container, state.store)
        except StoppedError:
            self._keep(state, {**described, **container.ended("Stopped")})
            raise
        except (DataError, RequestError, OSError) as error:
            failed = _failed(error)
            self._keep(state, {**described, **container.ended("Failed"), **_reason(container, failed, self.folder)})
            raise failed from None
        return self._keep(state, {**described, **results, **container.ended("Completed")})

    def _keep(self, state: State, described: Answer) -> Answer:
        described = {**described, "LastModifiedTime": now()}
        write_json(state.job(self.name), described)
        return described

    def _run(self, container: Container, store: FolderStore) -> Answer:
        roots = [self.folder / host for host in container.hosts]
        for root, host in zip(roots, container.hosts, strict=True):
            container.lay_out(root, host)
        hosts: list[Host] = []
        try:
            for root in roots:
                hosts.append(processes.start(command(container.arguments), root, self._environment(container, root, store)))
                processes.record(self.folder, hosts)
            self._wait(container, hosts)
        finally:
            processes.end(hosts)
            processes.forget(self.folder)
            for checkpoints in container.checkpoints:
                checkpoints.close()
        results = container.collect(roots)
        for root in roots:
            for name in _SCRATCH_FOLDERS:
                shutil.rmtree(root / name, ignore_errors=True)
        return results

    def _environment(self, container: Container, root: Path, store: FolderStore) -> dict[str, str]:
        threads = self.cores // len(container.hosts)
        return {**environment(root, store.root, threads), **self.environment, **container.environment}

    def _asked_to_stop(self, container: Container) -> bool:
        """Asked at every look at the processes, which is when their checkpoints are copied too."""
        for checkpoints in container.checkpoints:
            checkpoints.push_now_and_then()
        return self.stopping()

    def _wait(self, container: Container, hosts: list[Host]) -> None:
        seconds = container.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _MAX_SECONDS)
        try:
            failed = processes.first_failure(hosts, lambda: self._asked_to_stop(container), seconds)
        except InterruptedError:
            raise StoppedError(f"job {self.name} was stopped") from None
        except TimeoutError:
            raise JobError(
                f"ClientError: MaxRuntimeExceeded: job {self.name} ran longer than {seconds} s", "ClientError"
            ) from None
        if failed is None:
            return
        reason = failure_reason(container, failed.root)
        raise JobError(f"AlgorithmError: {reason}, exit code: {processes.exit_code(failed.process.returncode)}", "AlgorithmError")


def _failed(error: DataError | RequestError | OSError) -> JobError:
    """What the service would call it: a job's own failure, a request or data that are wrong, or a fault of the machine that
    runs jobs, which is what retry policies are for."""
    if isinstance(error, JobError):
        return error
    if not isinstance(error, OSError):
        return JobError(f"ClientError: {error}", "ClientError")
    if error.errno in _FULL:
        return JobError(f"ClientError: the disk is full ({error}): make room, then retry", "ClientError")
    return JobError(f"InternalServerError: {error}", INTERNAL)


def _faults(kind: str, request: Request) -> list[str]:
    """What cannot run, and values of a type that the service refuses."""
    faults = list(job_problems(kind, request))
    for where in ("Environment", "HyperParameters"):
        for name, value in request.get(where, {}).items():
            if not isinstance(value, str):
                faults.append(f"{where}.{name} is {value!r}, and has to be a string: join it")
    cluster = request.get("ResourceConfig") or request.get("ProcessingResources", {}).get("ClusterConfig", {})
    count = cluster.get("InstanceCount")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        faults.append(f"InstanceCount is {count!r}, and has to be a number from 1")
    return faults


def failure_reason(container: Container, root: Path) -> str:
    """Why a host says it failed: its failure file, else the last line of its log."""
    message = container.message(root)
    text = message.read_text(errors="replace").strip() if message.is_file() else ""
    return text or processes.last_line(root)


def _reason(container: Container, error: JobError, folder: Path) -> dict[str, str]:
    """FailureReason, and a Processing job's ExitMessage where it left one."""
    reason = {"FailureReason": str(error)[:1024]}
    left = [path.read_text(errors="replace") for path in sorted(folder.glob("*/output/message"))]
    return {**reason, "ExitMessage": left[0][:1024]} if left and container.kind == "processing" else reason


def job_name(execution: str, step: str, token: str) -> str:
    """A job's name as the service makes it for a step, at most 63 letters, digits and dashes."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", step)[:28].strip("-")
    return f"pipelines-{execution}-{plain}-{token}"
