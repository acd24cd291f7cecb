"""The processes of a job: one a host, each the leader of a process group that is ended whole.

Which processes live is kept beside the job, with the time each started (a process id alone may be another's by now), so that
they can be ended when the runner that started them is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local.damage import DamagedError, whole
from pipelines.local.state import read_json, write_json

RECORD = "processes.json"
GRACE_SECONDS = 3.0
"""Between SIGTERM and SIGKILL; the service gives two minutes, a person at a terminal does not."""
_POLL_FRACTION = 0.04
_MIN_POLL, _MAX_POLL = 0.001, 0.05
"""A job is polled after a fraction of the time that it has run: short jobs are not waited for, long ones cost nothing."""


@dataclass(frozen=True)
class Host:
    """One host of a job: its root in place of /opt/ml, its log beside it, its process."""

    root: Path
    process: subprocess.Popen[bytes]

    @property
    def code(self) -> int | None:
        """The exit code, negative for the signal it died of; None while it runs."""
        return self.process.poll()


def log_of(root: Path) -> Path:
    """The log of the host whose root this is."""
    return root.with_name(f"{root.name}.log")


def last_line(root: Path) -> str:
    """The last line that a host has said."""
    lines = log_of(root).read_text(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"


def exit_code(code: int) -> str:
    """A process's end as a container's: 128 and the signal's number for one that was killed, by whomever."""
    if code >= 0:
        return str(code)
    with suppress(ValueError):
        return f"{128 - code} ({signal.Signals(-code).name})"
    return str(128 - code)


def start(command: Sequence[str], root: Path, environment: dict[str, str]) -> Host:
    """Start a host's process in a group of its own; what it says goes to its log as it says it, behind what the one before it said."""
    with log_of(root).open("ab") as log:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    return Host(root, process)


def first_failure(hosts: Sequence[Host], stopping: Callable[[], bool], seconds: float) -> Host | None:
    """Wait until every host has ended well (None), or one has failed.

    Raises:
        InterruptedError: when somebody asked for a stop.
        TimeoutError: after ``seconds``.
    """
    begun = time.monotonic()
    while True:
        codes = [host.code for host in hosts]
        for host, code in zip(hosts, codes, strict=True):
            if code:
                return host
        if None not in codes:
            return None
        if stopping():
            raise InterruptedError
        elapsed = time.monotonic() - begun
        if elapsed > seconds:
            raise TimeoutError
        time.sleep(min(max(elapsed * _POLL_FRACTION, _MIN_POLL), _MAX_POLL))


def end(hosts: Sequence[Host]) -> None:
    """SIGTERM to the groups that still run, SIGKILL to what is left of all of them after a while: workers may outlive the
    process that started them, whether it ended by itself or was killed."""
    running = [host.process for host in hosts if host.code is None]
    for process in running:
        _signal(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for process in running:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
    for host in hosts:
        _signal(host.process.pid, signal.SIGKILL)
        host.process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        os.killpg(group, number)


def record(folder: Path, hosts: Sequence[Host]) -> None:
    """Keep which processes a job has, for whoever has to end them when the runner is gone."""
    write_json(folder / RECORD, [{"pid": host.process.pid, "started": _started(host.process.pid)} for host in hosts])


def forget(folder: Path) -> None:
    """The job has no processes any more."""
    (folder / RECORD).unlink(missing_ok=True)


def end_orphans(jobs: Path) -> None:
    """End what the jobs below ``jobs`` still run, their runner being gone."""
    for path in sorted(jobs.glob(f"*/{RECORD}")):
        for process in _recorded(path):
            if process["started"] and process["started"] == _started(process["pid"]):
                _signal(process["pid"], signal.SIGKILL)
        path.unlink(missing_ok=True)


def _recorded(path: Path) -> list[dict[str, Any]]:
    """The processes of a job; of a record that cannot be read none, which is said: they may live on."""
    try:
        recorded = read_json(path) or []
        for process in recorded if isinstance(recorded, list) else [recorded]:
            whole(path, process, {"pid": int, "started": str})
    except DamagedError as error:
        print(f"{path}: {error.what}: what this job still runs is not ended: look for it with ps", file=sys.stderr)
        return []
    return list(recorded)


def _started(pid: int) -> str | None:
    """When a process started, in whatever unit the system has; None when there is none."""
    try:
        # Field 22 of proc(5)'s stat, counted from behind the command's name, which may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    listing = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607
    return listing.stdout.strip() or None
