"""Executions: start, describe, list, stop; their steps and their jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from pipelines.local.errors import missing, refused
from pipelines.local.jobs import REPOSITORY
from pipelines.local.pipeline_calls import PipelineCalls
from pipelines.local.state import Execution, arn, now, read_json, with_times, write_json

ENDED = frozenset({"Succeeded", "Failed", "Stopped"})
_STEP_KEYS = ("StepName", "StartTime", "EndTime", "StepStatus", "AttemptCount", "FailureReason", "CacheHitResult", "Metadata")


class ExecutionCalls(PipelineCalls):
    """Calls on executions and jobs."""

    def start_pipeline_execution(
        self,
        *,
        PipelineName: str,
        PipelineParameters: list[dict[str, str]] | None = None,
        ClientRequestToken: str = "",
        **optional: Any,
    ) -> dict[str, Any]:
        """StartPipelineExecution: answers at once; a process of its own runs the steps."""
        pipeline = self._pipeline(PipelineName, "StartPipelineExecution")
        definition = json.loads(pipeline["PipelineDefinition"])
        parameters = _parameters(definition, PipelineParameters or [])
        for execution in self.state.executions() if ClientRequestToken else []:
            if execution.record.get("ClientRequestToken") == ClientRequestToken:
                return {"PipelineExecutionArn": execution.record["PipelineExecutionArn"]}
        execution = self.state.new_execution()
        name = pipeline["PipelineName"]
        record = {
            "PipelineName": name,
            "PipelineArn": pipeline["PipelineArn"],
            "PipelineExecutionArn": arn(f"pipeline/{name}/execution/{execution.identity}"),
            "PipelineExecutionDisplayName": optional.get("PipelineExecutionDisplayName", f"execution-{execution.identity}"),
            "PipelineExecutionStatus": "Executing",
            "ParallelismConfiguration": optional.get("ParallelismConfiguration", {}),
            "CreationTime": now(),
            "LastModifiedTime": now(),
            "ClientRequestToken": ClientRequestToken,
            "Parameters": parameters,
            "Given": PipelineParameters or [],
        }
        if optional.get("PipelineExecutionDescription"):
            record["PipelineExecutionDescription"] = optional["PipelineExecutionDescription"]
        write_json(execution.folder / "definition.json", definition)
        write_json(execution.record_path, record)
        self._spawn(execution)
        return {"PipelineExecutionArn": record["PipelineExecutionArn"]}

    def _spawn(self, execution: Execution) -> None:
        """Start the runner with the lock in its hands: there is no moment at which it looks dead and is not."""
        lock = execution.take_runner_lock()
        assert lock is not None, "a new execution has no runner"
        try:
            with (execution.folder / "runner.log").open("ab") as log:
                subprocess.Popen(
                    [sys.executable, "-m", "pipelines.local.runner", str(self.state.root), execution.identity],
                    cwd=REPOSITORY,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=[lock],
                )
        finally:
            os.close(lock)

    def _execution(self, execution_arn: str, operation: str) -> Execution:
        execution = self.state.execution(execution_arn.rpartition("/")[2])
        if not execution.record_path.is_file():
            raise missing(operation, f"Pipeline execution {execution_arn} does not exist.")
        self._notice_death(execution)
        return execution

    @staticmethod
    def _notice_death(execution: Execution) -> None:
        """A runner that is gone without having said how it ended has failed, and so have the steps it had in hand."""
        if execution.record["PipelineExecutionStatus"] in ENDED:
            return
        lock = execution.take_runner_lock()
        if lock is None:
            return
        try:
            if execution.record["PipelineExecutionStatus"] in ENDED:
                return
            reason = "the local runner died; its log is runner.log in the execution's folder"
            for step in execution.steps():
                if step["StepStatus"] == "Executing":
                    write_json(
                        execution.step(step["StepName"]),
                        {**step, "StepStatus": "Failed", "EndTime": now(), "FailureReason": reason},
                    )
            execution.change(lambda record: record.update(PipelineExecutionStatus="Failed", FailureReason=reason))
        finally:
            os.close(lock)

    def describe_pipeline_execution(self, *, PipelineExecutionArn: str) -> dict[str, Any]:
        """DescribePipelineExecution."""
        record = self._execution(PipelineExecutionArn, "DescribePipelineExecution").record
        hidden = {"PipelineName", "ClientRequestToken", "Parameters", "Given"}
        if not record["ParallelismConfiguration"]:
            hidden.add("ParallelismConfiguration")
        return dict(with_times({key: value for key, value in record.items() if key not in hidden}))

    def describe_pipeline_definition_for_execution(self, *, PipelineExecutionArn: str) -> dict[str, Any]:
        """DescribePipelineDefinitionForExecution."""
        execution = self._execution(PipelineExecutionArn, "DescribePipelineDefinitionForExecution")
        text = json.dumps(execution.definition, separators=(",", ":"), ensure_ascii=False)
        return dict(with_times({"PipelineDefinition": text, "CreationTime": execution.record["CreationTime"]}))

    def list_pipeline_executions(self, *, PipelineName: str) -> dict[str, Any]:
        """ListPipelineExecutions, newest first."""
        name = self._pipeline(PipelineName, "ListPipelineExecutions")["PipelineName"]
        summaries = []
        for execution in reversed(self.state.executions()):
            if execution.record["PipelineName"] != name:
                continue
            self._notice_death(execution)
            record = execution.record
            summary = {
                "PipelineExecutionArn": record["PipelineExecutionArn"],
                "StartTime": record["CreationTime"],
                "PipelineExecutionStatus": record["PipelineExecutionStatus"],
                "PipelineExecutionDisplayName": record["PipelineExecutionDisplayName"],
            }
            if "FailureReason" in record:
                summary["PipelineExecutionFailureReason"] = record["FailureReason"]
            summaries.append(with_times(summary))
        return {"PipelineExecutionSummaries": summaries}

    def list_pipeline_execution_steps(
        self, *, PipelineExecutionArn: str, NextToken: str = "0", MaxResults: int = 20, SortOrder: str = "Descending"
    ) -> dict[str, Any]:
        """ListPipelineExecutionSteps."""
        steps = self._execution(PipelineExecutionArn, "ListPipelineExecutionSteps").steps()
        ordered = steps if SortOrder == "Ascending" else steps[::-1]
        start, end = int(NextToken), int(NextToken) + MaxResults
        page = [with_times({key: step[key] for key in _STEP_KEYS if key in step}) for step in ordered[start:end]]
        return {"PipelineExecutionSteps": page, **({"NextToken": str(end)} if end < len(ordered) else {})}

    def list_pipeline_parameters_for_execution(self, *, PipelineExecutionArn: str) -> dict[str, Any]:
        """ListPipelineParametersForExecution: those that were given."""
        return {"PipelineParameters": self._execution(PipelineExecutionArn, "ListPipelineParametersForExecution").record["Given"]}

    def stop_pipeline_execution(self, *, PipelineExecutionArn: str, ClientRequestToken: str = "") -> dict[str, Any]:
        """StopPipelineExecution: the runner ends its jobs and then itself."""
        execution = self._execution(PipelineExecutionArn, "StopPipelineExecution")
        if execution.record["PipelineExecutionStatus"] in ENDED:
            raise refused("StopPipelineExecution", f"Pipeline execution {PipelineExecutionArn} has ended.")

        def stopping(record: dict[str, Any]) -> None:
            if record["PipelineExecutionStatus"] not in ENDED:
                record["PipelineExecutionStatus"] = "Stopping"

        execution.change(stopping)
        execution.stop_path.touch()
        return {"PipelineExecutionArn": PipelineExecutionArn}

    def _job(self, name: str, operation: str) -> dict[str, Any]:
        record = read_json(self.state.job(name))
        if record is None:
            raise missing(operation, f"Requested resource not found: {name}.")
        return dict(with_times(record))

    def describe_processing_job(self, *, ProcessingJobName: str) -> dict[str, Any]:
        """DescribeProcessingJob."""
        return self._job(ProcessingJobName, "DescribeProcessingJob")

    def describe_training_job(self, *, TrainingJobName: str) -> dict[str, Any]:
        """DescribeTrainingJob."""
        return self._job(TrainingJobName, "DescribeTrainingJob")


def _parameters(definition: dict[str, Any], given: list[dict[str, str]]) -> dict[str, Any]:
    """Every parameter's value, typed; refused as the service refuses."""
    values = {item["Name"]: item["Value"] for item in given}
    declared = {parameter["Name"]: parameter for parameter in definition["Parameters"]}
    unknown = sorted(set(values) - set(declared))
    if unknown:
        raise refused("StartPipelineExecution", f"Parameters {unknown} are not defined in the pipeline definition.")
    typed: dict[str, Any] = {}
    for name, parameter in declared.items():
        value = values.get(name, parameter.get("DefaultValue"))
        if value is None:
            raise refused("StartPipelineExecution", f"Parameter {name} has no default and no value was given.")
        try:
            typed[name] = _typed(parameter, value)
        except ValueError:
            raise refused("StartPipelineExecution", f"Parameter {name} is {value!r}, not of type {parameter['Type']}.") from None
    return typed


def _typed(parameter: dict[str, Any], value: Any) -> Any:
    match parameter["Type"]:
        case "Integer":
            return int(value)
        case "Float":
            return float(value)
        case "Boolean":
            return str(value).lower() == "true"
    if parameter.get("EnumValues") and value not in parameter["EnumValues"]:
        raise ValueError(value)
    return str(value)
