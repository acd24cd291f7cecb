"""The process that runs one execution: ``python -m pipelines.local.runner STATE EXECUTION``; started by the client."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from pathology.contracts.errors import PathologyError

from pipelines.checks.expressions import all_steps
from pipelines.checks.graph import edges
from pipelines.local.attempts import Attempts
from pipelines.local.cache import cache_key, find_cached, remember
from pipelines.local.client import LocalSageMaker
from pipelines.local.endpoint import Endpoint
from pipelines.local.expressions import Scope, holds
from pipelines.local.jobs import JobError, StoppedError
from pipelines.local.model_packages import register
from pipelines.local.records import ExecutionRecord, StepRecord
from pipelines.local.selection import selected_steps
from pipelines.local.state import State, now, read_json, write_json
from steps.shapes import Answer, StepDefinition

_POLL_SECONDS = 0.1


class Runner:
    """One execution, from its first step to its last; or, of an execution that is retried, from what has not succeeded.

    ``environment`` is what every job sees, beside what its request gives it.
    """

    def __init__(self, state: State, identity: str, environment: Mapping[str, str]) -> None:
        self.state = state
        self.environment = environment
        self.execution = state.execution(identity)
        self.record = self.execution.record
        definition = self.execution.definition
        self.steps = {step["Name"]: step for step in all_steps(definition)}
        self.needs = {name: set(sources) for name, sources in edges(definition).items()}
        self.pipeline = self.record["PipelineName"]
        self.cores = os.cpu_count() or 1
        parallel = self.record.get("ParallelismConfiguration", {}).get("MaxParallelExecutionSteps")
        self.parallel = int(parallel or min(4, self.cores))
        self.abreast = 1
        self.scope = Scope(
            parameters=self.record["Parameters"],
            execution={
                "Execution.PipelineName": self.pipeline,
                "Execution.PipelineArn": self.record["PipelineArn"],
                "Execution.PipelineExecutionId": identity,
                "Execution.PipelineExecutionArn": self.record["PipelineExecutionArn"],
                "Execution.StartDateTime": self.record["CreationTime"],
                "Execution.CurrentDateTime": now(),
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
        self._take_up()
        if "SelectiveExecutionConfig" in self.record:
            selected = set(selected_steps(self.record["SelectiveExecutionConfig"]))
            self.left_out |= set(self.steps) - selected - self.done

    def _take_up(self) -> None:
        """Steps that succeeded in an earlier try of this execution, or whose results it was given, are done."""
        for record in self.execution.steps():
            if record["StepStatus"] == "Succeeded":
                name = record["StepName"]
                self.done.add(name)
                for kind, what in record.get("Metadata", {}).items():
                    if kind == "Condition":
                        self._leave_out(self.steps[name], what["Outcome"] == "True")
                    else:
                        self.scope.jobs[name] = read_json(self.state.described(what["Arn"])) or {}

    def stopping(self) -> bool:
        """Whether somebody asked for a stop."""
        return self.execution.stop_path.exists()

    def run(self) -> None:
        """Run every step whose time comes; a failure lets what is running end, and starts nothing more."""
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(self.parallel) as pool:
            while True:
                wave = self._ready(set(running.values()))[: self.parallel - len(running)]
                self.abreast = max(1, len(running) + len(wave))
                running.update({pool.submit(self._step, name): name for name in wave})
                if not running:
                    break
                for future in wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    future.result()
        self._end("Failed" if self.failure else "Stopped" if self.stopping() else "Succeeded")

    def _end(self, status: str) -> None:
        def change(record: ExecutionRecord) -> None:
            record["PipelineExecutionStatus"] = status
            if self.failure and status == "Failed":
                record["FailureReason"] = self.failure[:1300]

        self.execution.change(change)

    def _ready(self, running: set[str]) -> list[str]:
        if self.failure or self.stopping():
            return []
        waiting = [name for name in self.steps if name not in self.done | self.left_out | running]
        return [name for name in waiting if self.needs[name] <= self.done]

    def _step(self, name: str) -> None:
        """Run one step and keep its record; whatever goes wrong ends as the step's FailureReason."""
        step = self.steps[name]
        record: StepRecord = {
            "StepName": name,
            **({"StepDescription": step["Description"]} if step.get("Description") else {}),
            "StartTime": now(),
            "StepStatus": "Executing",
            "AttemptCount": 1,
            "Metadata": {},
        }
        self._keep(record)
        try:
            self._do(step, record)
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

    def _do(self, step: StepDefinition, record: StepRecord) -> None:
        match step["Type"]:
            case "Processing" | "Training":
                self._job(step, record)
            case "Condition":
                outcome = all(holds(condition, self.scope) for condition in step["Arguments"]["Conditions"])
                record["Metadata"] = {"Condition": {"Outcome": str(outcome)}}
                self._leave_out(step, outcome)
            case "Fail":
                message = str(self.scope.resolve(step["Arguments"]["ErrorMessage"]))
                record["Metadata"] = {"Fail": {"ErrorMessage": message}}
                raise JobError(message, "Fail")
            case "RegisterModel":
                version = register(self.state, self.scope.resolve(step["Arguments"]))
                record["Metadata"] = {"RegisterModel": {"Arn": version}}
                self._known(step["Name"], read_json(self.state.described(version)))
            case kind:
                raise JobError(f"a step of type {kind} cannot run here", "ClientError")

    def _keep(self, record: StepRecord) -> None:
        write_json(self.execution.step(record["StepName"]), record)

    def _finish(self, record: StepRecord, status: str, reason: str | None = None) -> None:
        record.update({"StepStatus": status, "EndTime": now()})
        if reason:
            record["FailureReason"] = reason[:1024]
        self._keep(record)

    def _leave_out(self, step: StepDefinition, outcome: bool) -> None:
        branch = step["Arguments"].get("ElseSteps" if outcome else "IfSteps", [])
        with self.guard:
            self.left_out |= {inner["Name"] for inner in branch}

    def _known(self, name: str, described: Answer) -> None:
        with self.guard:
            self.scope.jobs[name] = described

    def _job(self, step: StepDefinition, record: StepRecord) -> None:
        name, kind = step["Name"], step["Type"]
        request = self.scope.resolve(step["Arguments"])
        key = cache_key(self.pipeline, name, kind, request)
        hit = find_cached(self.state, step.get("CacheConfig", {}), key)
        if hit:
            record["CacheHitResult"] = {"SourcePipelineExecutionArn": hit["execution"]}
            record["Metadata"] = {f"{kind}Job": {"Arn": hit["job"][f"{kind}JobArn"]}}
            self._known(name, hit["job"])
            return

        def started(arn: str, attempt: int) -> None:
            record.update({"AttemptCount": attempt, "Metadata": {f"{kind}Job": {"Arn": arn}}})
            self._keep(record)

        cores = max(1, self.cores // self.abreast)
        attempts = Attempts(self.state, self.execution, step, self.stopping, cores, self.environment)
        job = attempts.run(request, started)
        remember(self.state, key, self.record["PipelineExecutionArn"], job, self.pipeline, name)
        self._known(name, job)


def main(root: str, identity: str) -> None:
    """Run an execution whose lock this process inherited."""
    state = State(Path(root))
    execution = state.execution(identity)
    try:
        with Endpoint(LocalSageMaker(state.root), identity) as endpoint:
            Runner(state, identity, endpoint.environment).run()
    except Exception as error:
        traceback.print_exc()
        what = str(error) if isinstance(error, PathologyError) else f"{type(error).__name__}: {error}"
        reason = f"the runner failed: {what}"
        execution.change(lambda record: record.update({"PipelineExecutionStatus": "Failed", "FailureReason": reason}))
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:3])
