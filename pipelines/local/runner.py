"""The process that runs one execution: ``python -m pipelines.local.runner STATE EXECUTION``; started by the client."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from pathology.contracts.errors import PathologyError

from pipelines.checks.expressions import all_steps
from pipelines.checks.graph import edges
from pipelines.local.cache import cache_key, look_for, remember
from pipelines.local.expressions import Scope, holds
from pipelines.local.jobs import JobError, LocalJob, StoppedError
from pipelines.local.model_packages import register
from pipelines.local.state import State, now, write_json

_LONGEST_PAUSE = 1.0
"""Retry intervals are minutes on AWS, where capacity has to come back; here a second will do."""
_POLL_SECONDS = 0.1


class Runner:
    """One execution, from its first step to its last."""

    def __init__(self, state: State, identity: str) -> None:
        self.state = state
        self.execution = state.execution(identity)
        self.record = self.execution.record
        definition = self.execution.definition
        self.steps = {step["Name"]: step for step in all_steps(definition)}
        self.needs = {name: set(found) for name, found in edges(definition).items()}
        self.pipeline = self.record["PipelineName"]
        parallel = self.record.get("ParallelismConfiguration", {}).get("MaxParallelExecutionSteps")
        self.parallel = int(parallel or min(4, os.cpu_count() or 1))
        self.scope = Scope(
            parameters=self.record["Parameters"],
            execution={
                "PipelineName": self.pipeline,
                "PipelineArn": self.record["PipelineArn"],
                "PipelineExecutionId": identity,
                "PipelineExecutionArn": self.record["PipelineExecutionArn"],
                "StartDateTime": self.record["CreationTime"],
                "CurrentDateTime": self.record["CreationTime"],
            },
            store=state.store,
            property_files={
                (name, file["PropertyFileName"]): file
                for name, step in self.steps.items()
                for file in step.get("PropertyFiles", [])
            },
        )
        self.done: set[str] = set()
        self.left_out: set[str] = set()
        self.failure: str | None = None
        self.guard = threading.Lock()

    def stopping(self) -> bool:
        """Whether somebody asked for a stop."""
        return self.execution.stop_path.exists()

    def run(self) -> None:
        """Run every step whose time comes; a failure lets what is running end, and starts nothing more."""
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(self.parallel) as pool:
            while True:
                for name in self._ready(set(running.values())):
                    if len(running) < self.parallel:
                        running[pool.submit(self._step, name)] = name
                if not running:
                    break
                for future in wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    future.result()
        status = "Stopped" if self.stopping() else "Failed" if self.failure else "Succeeded"
        self._end(status)

    def _end(self, status: str) -> None:
        def change(record: dict[str, Any]) -> None:
            record["PipelineExecutionStatus"] = status
            if self.failure and status == "Failed":
                record["FailureReason"] = self.failure

        self.execution.change(change)

    def _ready(self, running: set[str]) -> list[str]:
        if self.failure or self.stopping():
            return []
        waiting = [name for name in self.steps if name not in self.done | self.left_out | running]
        return [name for name in waiting if self.needs[name] <= self.done]

    def _step(self, name: str) -> None:
        """Run one step and keep its record; whatever goes wrong ends as the step's FailureReason."""
        step = self.steps[name]
        record: dict[str, Any] = {
            "StepName": name,
            "StartTime": now(),
            "StepStatus": "Executing",
            "AttemptCount": 1,
            "Metadata": {},
        }
        self._keep(record)
        try:
            match step["Type"]:
                case "Processing" | "Training":
                    self._job(step, record)
                case "Condition":
                    self._condition(step, record)
                case "Fail":
                    message = str(self.scope.resolve(step["Arguments"]["ErrorMessage"]))
                    record["Metadata"] = {"Fail": {"ErrorMessage": message}}
                    raise JobError(message, "Fail")
                case "RegisterModel":
                    version = register(self.state, self.scope.resolve(step["Arguments"]))
                    record["Metadata"] = {"RegisterModel": {"Arn": version}}
                case kind:
                    raise JobError(f"a step of type {kind} cannot run here", "ClientError")
            self._finish(record, "Succeeded")
            with self.guard:
                self.done.add(name)
        except StoppedError as error:
            self._finish(record, "Stopped", str(error))
        except Exception as error:
            if not isinstance(error, PathologyError):
                traceback.print_exc()
            reason = str(error) if isinstance(error, PathologyError) else f"{type(error).__name__}: {error}"
            self._finish(record, "Failed", reason)
            with self.guard:
                self.failure = self.failure or f"step {name}: {reason}"

    def _keep(self, record: dict[str, Any]) -> None:
        write_json(self.execution.step(record["StepName"]), record)

    def _finish(self, record: dict[str, Any], status: str, reason: str | None = None) -> None:
        record.update(StepStatus=status, EndTime=now())
        if reason:
            record["FailureReason"] = reason[:1024]
        self._keep(record)

    def _condition(self, step: dict[str, Any], record: dict[str, Any]) -> None:
        arguments = step["Arguments"]
        outcome = all(holds(condition, self.scope) for condition in arguments["Conditions"])
        record["Metadata"] = {"Condition": {"Outcome": "True" if outcome else "False"}}
        with self.guard:
            self.left_out |= {inner["Name"] for inner in arguments["ElseSteps" if outcome else "IfSteps"]}

    def _job(self, step: dict[str, Any], record: dict[str, Any]) -> None:
        name, kind = step["Name"], step["Type"]
        request = self.scope.resolve(step["Arguments"])
        config = step.get("CacheConfig", {})
        key = cache_key(self.pipeline, name, kind, request)
        hit = look_for(self.state, config, key)
        if hit:
            record["CacheHitResult"] = {"SourcePipelineExecutionArn": hit["execution"]}
            job = hit["job"]
        else:
            job = self._attempts(step, request, record)
            write_json(self.state.job(job.get("ProcessingJobName") or job["TrainingJobName"]), job)
            remember(self.state, key, self.record["PipelineExecutionArn"], job)
        record["Metadata"] = {f"{kind}Job": {"Arn": job[f"{kind}JobArn"]}}
        with self.guard:
            self.scope.jobs[name] = job

    def _attempts(self, step: dict[str, Any], request: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        """Run the job, again where a retry policy covers how it failed."""
        policies = step.get("RetryPolicies", [])
        left = [int(policy.get("MaxAttempts", 1)) for policy in policies]
        pause = 0.1
        while True:
            attempt = record["AttemptCount"]
            name = f"pipelines-{self.execution.identity}-{step['Name']}-{attempt}"
            folder = self.execution.folder / "jobs" / name
            record["Metadata"] = {"Job": {"Name": name}}
            self._keep({**record, "Metadata": {}, "LocalJob": name})
            job = LocalJob(name, folder, self.stopping, os.cpu_count() or 1)
            try:
                return job.run(step["Type"], request, self.state.store)
            except JobError as error:
                covering = [i for i, policy in enumerate(policies) if error.kind in policy["ExceptionType"] and left[i] > 0]
                if not covering:
                    raise
                left[covering[0]] -= 1
                record["AttemptCount"] = attempt + 1
                time.sleep(min(pause, _LONGEST_PAUSE))
                pause *= float(policies[covering[0]].get("BackoffRate", 2.0))


def main(root: str, identity: str) -> None:
    """Run an execution whose lock this process inherited."""
    state = State(Path(root))
    execution = state.execution(identity)
    try:
        Runner(state, identity).run()
    except Exception as error:
        traceback.print_exc()
        reason = f"the runner failed: {type(error).__name__}: {error}"
        execution.change(lambda record: record.update(PipelineExecutionStatus="Failed", FailureReason=reason))
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:3])
