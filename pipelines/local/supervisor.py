"""Starting the process that runs an execution, and cleaning up after one that died.

The runner holds a file lock, handed to it by whoever started it: there is no moment at which it looks dead and is not, and no
process id has to be trusted. The system lets go of the lock however the runner ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from pipelines.local import processes
from pipelines.local.containers import CONTAINERS
from pipelines.local.damage import DamagedError
from pipelines.local.job_records import described_job
from pipelines.local.records import ExecutionRecord
from pipelines.local.state import Execution, State, now, write_json

REPOSITORY = Path(__file__).resolve().parents[2]
ENDED = frozenset({"Succeeded", "Failed", "Stopped"})
_MAX_EXIT_SECONDS = 5.0
DIED = "the local runner died; its log is runner.log in the execution's folder"


def spawn(root: Path, execution: Execution, lock: int) -> None:
    """Start the runner with the lock in its hands, detached from the terminal; this process lets go of the lock."""
    try:
        with (execution.folder / "runner.log").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "pipelines.local.runner", str(root), execution.identity],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock],
            )
    finally:
        os.close(lock)


def lock_to_retry(execution: Execution) -> int | None:
    """The runner's lock of an execution that failed or was stopped; None for any other.

    A runner says how it ended a moment before it is gone, so this waits for that moment to pass.
    """
    until = time.monotonic() + _MAX_EXIT_SECONDS
    while execution.record["PipelineExecutionStatus"] in ("Failed", "Stopped"):
        lock = execution.take_runner_lock()
        if lock is not None and execution.record["PipelineExecutionStatus"] in ("Failed", "Stopped"):
            return lock
        if lock is not None:
            os.close(lock)
        if time.monotonic() > until:
            return None
        time.sleep(0.02)
    return None


def has_ended(state: State, execution: Execution) -> bool:
    """Whether an execution has come to its end, a runner that died included."""
    reap_dead_runner(state, execution)
    return execution.record["PipelineExecutionStatus"] in ENDED


def _end_steps(state: State, execution: Execution, status: str) -> None:
    for step in execution.steps():
        if step["StepStatus"] == "Executing":
            ended = {"StepStatus": status, "EndTime": now(), "FailureReason": DIED}
            write_json(execution.step(step["StepName"]), {**step, **ended})
            for kind in set(CONTAINERS) & {name.removesuffix("Job") for name in step["Metadata"]}:
                name = step["Metadata"][f"{kind}Job"]["Arn"].rpartition("/")[2]
                job = described_job(state, name)
                if job:
                    write_json(state.job(name), {**job, **CONTAINERS[kind].ended(status), "FailureReason": DIED})


def reap_dead_runner(state: State, execution: Execution) -> None:
    """A runner that is gone without having said how it ended has failed, and so have the steps and jobs it had in hand.

    What the jobs still run is ended. An execution that was being stopped is stopped.
    """
    if execution.record["PipelineExecutionStatus"] in ENDED:
        return
    lock = execution.take_runner_lock()
    if lock is None:
        return
    try:
        if execution.record["PipelineExecutionStatus"] in ENDED:
            return
        processes.end_orphans(execution.folder / "jobs")
        status = "Stopped" if execution.stop_path.exists() else "Failed"
        with suppress(DamagedError):  # whoever looks at the steps is told; the execution has come to its end all the same
            _end_steps(state, execution, status)

        def change(record: ExecutionRecord) -> None:
            record["PipelineExecutionStatus"] = status
            if status == "Failed":
                record["FailureReason"] = DIED

        execution.change(change)
    finally:
        os.close(lock)
