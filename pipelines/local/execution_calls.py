"""Executions: start, describe, list, stop, retry; and their steps."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from typing import Any

from pathology.contracts.storage import atomic_write

from pipelines.local.damage import DamagedError
from pipelines.local.errors import known, missing, refused
from pipelines.local.paging import page
from pipelines.local.parameters import typed_parameters
from pipelines.local.pipeline_calls import PipelineCalls
from pipelines.local.records import ExecutionRecord, PipelineRecord, StepRecord
from pipelines.local.selection import keep, results_to_reuse
from pipelines.local.state import Execution, arn, create_json, naming, now, read_json, with_times, write_json
from pipelines.local.supervisor import ENDED, lock_to_retry, reap_dead_runner, spawn
from steps.shapes import Answer, Definition, GivenParameter, ParameterValues, Selection

_STEP_KEYS = (
    *("StepName", "StepDescription", "StartTime", "EndTime", "StepStatus", "AttemptCount"),
    *("FailureReason", "CacheHitResult", "Metadata", "SelectiveExecutionResult"),
)
_HIDDEN = frozenset({"PipelineName", "Parameters", "Given"})
_START = {
    *("PipelineExecutionDisplayName", "PipelineExecutionDescription"),
    *("ParallelismConfiguration", "SelectiveExecutionConfig"),
}


class ExecutionCalls(PipelineCalls):
    """Calls on executions."""

    def start_pipeline_execution(
        self,
        *,
        PipelineName: str,
        PipelineParameters: list[GivenParameter] | None = None,
        ClientRequestToken: str | None = None,
        **optional: Any,
    ) -> Answer:
        """StartPipelineExecution: answers at once; a process of its own runs the steps. A token starts one execution."""
        known("StartPipelineExecution", optional, _START)
        pipeline = self._pipeline(PipelineName, "StartPipelineExecution")
        definition: Definition = json.loads(pipeline["PipelineDefinition"])
        parameters = typed_parameters(definition, PipelineParameters or [])
        reused = self._reused(pipeline, definition, optional.get("SelectiveExecutionConfig"))
        if ClientRequestToken is not None:
            _check_token(ClientRequestToken)
        execution = self.state.new_execution()
        lock = execution.take_runner_lock()
        assert lock is not None, "a new execution has no runner"
        try:
            first = self._made(execution, pipeline, reused, parameters, PipelineParameters or [], ClientRequestToken, optional)
            if first == execution.identity:
                spawn(self.state.root, execution, os.dup(lock))
            else:
                shutil.rmtree(execution.folder)
        except Exception:  # such as a full disk: what has not started leaves nothing that looks as if it had
            shutil.rmtree(execution.folder, ignore_errors=True)
            self._give_back(pipeline["PipelineName"], ClientRequestToken, execution)
            raise
        finally:
            os.close(lock)
        return {"PipelineExecutionArn": self._arn(pipeline["PipelineName"], first)}

    def _made(
        self,
        execution: Execution,
        pipeline: PipelineRecord,
        reused: list[StepRecord],
        parameters: ParameterValues,
        given: list[GivenParameter],
        token: str | None,
        optional: dict[str, Any],
    ) -> str:
        """Write an execution's files; the id of the execution that is to run, another's when the token was taken."""
        record = {
            "PipelineName": pipeline["PipelineName"],
            "PipelineArn": pipeline["PipelineArn"],
            "PipelineExecutionArn": self._arn(pipeline["PipelineName"], execution.identity),
            "PipelineExecutionDisplayName": f"execution-{execution.identity}",
            "PipelineExecutionStatus": "Executing",
            **({"ParallelismConfiguration": parallelism} if (parallelism := pipeline.get("ParallelismConfiguration")) else {}),
            "CreationTime": now(),
            "LastModifiedTime": now(),
            "Parameters": parameters,
            "Given": given,
            **optional,
        }
        with naming(execution.definition_path):
            atomic_write(execution.definition_path, pipeline["PipelineDefinition"].encode())
        keep(execution, reused)
        write_json(execution.record_path, record)
        return self._first_with(pipeline["PipelineName"], token, execution)

    def _reused(self, pipeline: PipelineRecord, definition: Definition, config: Selection | None) -> list[StepRecord]:
        if config is None:
            return []
        given = config.get("SourcePipelineExecutionArn")
        source = self._execution(given, "StartPipelineExecution") if given else None
        if source and source.record["PipelineArn"] != pipeline["PipelineArn"]:
            raise refused("StartPipelineExecution", f"{given} is not a valid execution of {pipeline['PipelineName']}.")
        return results_to_reuse(definition, config, source)

    @staticmethod
    def _arn(pipeline: str, identity: str) -> str:
        return arn(f"pipeline/{pipeline}/execution/{identity}")

    def _first_with(self, pipeline: str, token: str | None, execution: Execution) -> str:
        """The id of the execution that first took the token: of any number of callers at once, exactly one's own."""
        path = self.state.tokens(pipeline) / f"{token}.json"
        if token is None or create_json(path, execution.identity):
            return execution.identity
        first = read_json(path)
        if not isinstance(first, str):
            raise DamagedError(path, "names no execution")
        return first

    def _give_back(self, pipeline: str, token: str | None, execution: Execution) -> None:
        """A token of an execution that has not started is free again."""
        path = self.state.tokens(pipeline) / f"{token}.json"
        with suppress(DamagedError, OSError):
            if token is not None and read_json(path) == execution.identity:
                path.unlink()

    def _execution(self, execution_arn: str, operation: str) -> Execution:
        identity = execution_arn.rpartition("/")[2]
        execution = self.state.execution(identity)
        if not identity.isalnum() or not execution.record:
            raise missing(operation, f"Pipeline execution with ARN {execution_arn} does not exist.")
        reap_dead_runner(self.state, execution)
        return execution

    def describe_pipeline_execution(self, *, PipelineExecutionArn: str) -> Answer:
        """DescribePipelineExecution."""
        record = self._execution(PipelineExecutionArn, "DescribePipelineExecution").record
        return dict(with_times({key: value for key, value in record.items() if key not in _HIDDEN}))

    def describe_pipeline_definition_for_execution(self, *, PipelineExecutionArn: str) -> Answer:
        """DescribePipelineDefinitionForExecution: the text that the execution was started with."""
        execution = self._execution(PipelineExecutionArn, "DescribePipelineDefinitionForExecution")
        _ = execution.definition  # refuses one that is damaged
        text = execution.definition_path.read_text()
        return dict(with_times({"PipelineDefinition": text, "CreationTime": execution.record["CreationTime"]}))

    def list_pipeline_executions(
        self,
        *,
        PipelineName: str,
        SortBy: str = "CreationTime",
        SortOrder: str = "Descending",
        NextToken: str | None = None,
        MaxResults: int | None = None,
    ) -> Answer:
        """ListPipelineExecutions, newest first unless asked otherwise."""
        executions = self._executions(self._pipeline(PipelineName, "ListPipelineExecutions"), with_damaged=True)
        if SortBy == "PipelineExecutionArn":
            executions.sort(key=lambda execution: execution.identity)
        answer = page(
            "ListPipelineExecutions",
            "PipelineExecutionSummaries",
            [{"execution": execution} for execution in (executions if SortOrder == "Ascending" else executions[::-1])],
            NextToken,
            MaxResults,
        )
        shown = [self._summary(item["execution"], PipelineName) for item in answer["PipelineExecutionSummaries"]]
        return {**answer, "PipelineExecutionSummaries": shown}

    def _summary(self, execution: Execution, pipeline: str) -> Answer:
        try:
            reap_dead_runner(self.state, execution)
            record = execution.record
        except (DamagedError, OSError) as error:  # one that cannot be read, or brought to its end, hides no other
            return self._damaged(execution, pipeline.rpartition("/")[2], error)
        summary = {
            "PipelineExecutionArn": record["PipelineExecutionArn"],
            "StartTime": record["CreationTime"],
            "PipelineExecutionStatus": record["PipelineExecutionStatus"],
            "PipelineExecutionDisplayName": record["PipelineExecutionDisplayName"],
        }
        if "PipelineExecutionDescription" in record:
            summary["PipelineExecutionDescription"] = record["PipelineExecutionDescription"]
        if "FailureReason" in record:
            summary["PipelineExecutionFailureReason"] = record["FailureReason"]
        return dict(with_times(summary))

    def _damaged(self, execution: Execution, pipeline: str, error: DamagedError | OSError) -> Answer:
        """A status that the service has not, and no call but this one answers with."""
        return {
            "PipelineExecutionArn": self._arn(pipeline, execution.identity),
            "StartTime": execution.made,
            "PipelineExecutionStatus": "Damaged",
            "PipelineExecutionDisplayName": f"execution-{execution.identity}",
            "PipelineExecutionFailureReason": str(error),
        }

    def list_pipeline_execution_steps(
        self,
        *,
        PipelineExecutionArn: str,
        NextToken: str | None = None,
        MaxResults: int | None = None,
        SortOrder: str = "Descending",
    ) -> Answer:
        """ListPipelineExecutionSteps: those that have started, newest first unless asked otherwise."""
        steps = self._execution(PipelineExecutionArn, "ListPipelineExecutionSteps").steps()
        shown = [with_times({key: step.get(key) for key in _STEP_KEYS if key in step}) for step in steps]
        ordered = shown if SortOrder == "Ascending" else shown[::-1]
        return page("ListPipelineExecutionSteps", "PipelineExecutionSteps", ordered, NextToken, MaxResults)

    def list_pipeline_parameters_for_execution(
        self, *, PipelineExecutionArn: str, NextToken: str | None = None, MaxResults: int | None = None
    ) -> Answer:
        """ListPipelineParametersForExecution: those that were given."""
        given = self._execution(PipelineExecutionArn, "ListPipelineParametersForExecution").record["Given"]
        return page("ListPipelineParametersForExecution", "PipelineParameters", given, NextToken, MaxResults, usual=100)

    def stop_pipeline_execution(self, *, PipelineExecutionArn: str, ClientRequestToken: str = "") -> Answer:
        """StopPipelineExecution: the runner ends its jobs and then itself."""
        execution = self._execution(PipelineExecutionArn, "StopPipelineExecution")

        def stopping(record: ExecutionRecord) -> None:
            if record["PipelineExecutionStatus"] in ENDED:
                raise refused("StopPipelineExecution", f"Pipeline execution {PipelineExecutionArn} has ended.")
            record["PipelineExecutionStatus"] = "Stopping"
            execution.stop_path.touch()

        execution.change(stopping)
        return {"PipelineExecutionArn": PipelineExecutionArn}

    def retry_pipeline_execution(
        self, *, PipelineExecutionArn: str, ClientRequestToken: str = "", ParallelismConfiguration: dict[str, int] | None = None
    ) -> Answer:
        """RetryPipelineExecution: what has succeeded stays, the rest runs again in the same execution."""
        execution = self._execution(PipelineExecutionArn, "RetryPipelineExecution")
        lock = lock_to_retry(execution)
        if lock is None:
            raise refused("RetryPipelineExecution", f"Pipeline execution {PipelineExecutionArn} is not Failed or Stopped.")
        try:
            self._clear(execution, ParallelismConfiguration)
        except Exception:
            os.close(lock)
            raise
        spawn(self.state.root, execution, lock)
        return {"PipelineExecutionArn": PipelineExecutionArn}

    @staticmethod
    def _clear(execution: Execution, parallelism: dict[str, int] | None) -> None:
        """Take away what did not succeed, and let the record say that it runs again."""
        for step in execution.steps():
            if step["StepStatus"] != "Succeeded":
                execution.step(step["StepName"]).unlink()
        execution.stop_path.unlink(missing_ok=True)

        def again(record: ExecutionRecord) -> None:
            record.pop("FailureReason", None)
            record["PipelineExecutionStatus"] = "Executing"
            if parallelism:
                record["ParallelismConfiguration"] = parallelism

        execution.change(again)


def _check_token(token: str) -> None:
    if not 32 <= len(token) <= 128 or not token.replace("-", "").isalnum():
        raise refused("StartPipelineExecution", "ClientRequestToken has to be 32 to 128 letters, digits and dashes.")
