"""Pipelines: create, update, describe, list, delete."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from pathology.contracts.errors import DataError
from pathology.contracts.uris import Uri

from pipelines.local.damage import DEFINITION, PIPELINE, parse, whole
from pipelines.local.definition import problems
from pipelines.local.errors import check_name, known, missing, refused
from pipelines.local.locks import locked
from pipelines.local.paging import in_order, page
from pipelines.local.records import PipelineRecord
from pipelines.local.state import Execution, State, arn, create_json, now, read_json, with_times, write_json
from pipelines.local.supervisor import has_ended
from steps.shapes import Answer, Request

Tags = Sequence[dict[str, str]]
_CHANGEABLE = {
    "ParallelismConfiguration",
    "PipelineDefinition",
    "PipelineDefinitionS3Location",
    "PipelineDescription",
    "PipelineDisplayName",
}


class LocalCalls:
    """What every group of calls stands on."""

    def __init__(self, state: State) -> None:
        self.state = state


class PipelineCalls(LocalCalls):
    """Calls on pipelines."""

    def _pipeline(self, name: str, operation: str) -> PipelineRecord:
        plain = name.rpartition("/")[2]
        check_name(operation, plain, 256)
        record: PipelineRecord | None = read_json(self.state.pipeline(plain), PIPELINE)
        if record is None:
            raise missing(operation, f"Pipeline '{name}' does not exist.")
        path = self.state.pipeline(plain)
        whole(path, parse(path, record["PipelineDefinition"].encode()), DEFINITION)
        return record

    def _checked(self, request: Request, operation: str) -> Request:
        """The request with its definition as text, wherever it lies, refused when it cannot run here."""
        request = dict(request)
        location = request.pop("PipelineDefinitionS3Location", None)
        if location:
            uri = Uri.parse(f"s3://{location['Bucket']}/{location['ObjectKey']}")
            try:
                request["PipelineDefinition"] = self.state.store.read(uri).decode()
            except DataError as error:
                raise refused(operation, str(error)) from None
        if "PipelineDefinition" not in request:
            return request
        try:
            problem = next(iter(problems(json.loads(request["PipelineDefinition"]))), None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise refused(operation, f"Unable to parse pipeline definition: {error!r}") from None
        if problem:
            raise refused(operation, f"Unable to parse pipeline definition. {problem[0]}: {problem[1]}")
        return request

    def create_pipeline(
        self, *, PipelineName: str, RoleArn: str, ClientRequestToken: str = "", Tags: Tags = (), **request: Any
    ) -> Answer:
        """CreatePipeline."""
        check_name("CreatePipeline", PipelineName, 256)
        known("CreatePipeline", request, _CHANGEABLE)
        record = {
            "PipelineName": PipelineName,
            "PipelineArn": arn(f"pipeline/{PipelineName}"),
            "PipelineDescription": "",
            "RoleArn": RoleArn,
            "PipelineStatus": "Active",
            "CreationTime": now(),
            "LastModifiedTime": now(),
            "Tags": list(Tags),
            **self._checked(request, "CreatePipeline"),
        }
        if "PipelineDefinition" not in record:
            raise refused("CreatePipeline", "Give PipelineDefinition or PipelineDefinitionS3Location.")
        if not create_json(self.state.pipeline(PipelineName), record):
            message = "Pipeline names must be unique within an AWS account and region."
            raise refused("CreatePipeline", f"{message} Pipeline with name ({PipelineName}) already exists.")
        return {"PipelineArn": record["PipelineArn"]}

    def update_pipeline(self, *, PipelineName: str, **changes: Any) -> Answer:
        """UpdatePipeline."""
        known("UpdatePipeline", changes, _CHANGEABLE | {"RoleArn"})
        changes = self._checked(changes, "UpdatePipeline")
        with self._locked(PipelineName):
            record = self._pipeline(PipelineName, "UpdatePipeline")
            write_json(self.state.pipeline(record["PipelineName"]), {**record, **changes, "LastModifiedTime": now()})
        return {"PipelineArn": record["PipelineArn"]}

    def _locked(self, name: str) -> AbstractContextManager[None]:
        return locked(self.state.pipeline(name.rpartition("/")[2]).with_suffix(".lock"))

    def describe_pipeline(self, *, PipelineName: str) -> Answer:
        """DescribePipeline."""
        record = self._pipeline(PipelineName, "DescribePipeline")
        return dict(with_times({key: value for key, value in record.items() if key != "Tags"}))

    def list_pipelines(
        self,
        *,
        PipelineNamePrefix: str = "",
        SortBy: str = "CreationTime",
        SortOrder: str = "Descending",
        NextToken: str | None = None,
        MaxResults: int | None = None,
    ) -> Answer:
        """ListPipelines."""
        names = ("PipelineArn", "PipelineName", "PipelineDescription", "RoleArn", "CreationTime", "LastModifiedTime")
        records = [read_json(path, PIPELINE) for path in (self.state.root / "pipelines").glob(f"{PipelineNamePrefix}*.json")]
        summaries = [with_times({name: record[name] for name in names}) for record in records if record]
        ordered = in_order(summaries, {"Name": "PipelineName"}.get(SortBy, SortBy), SortOrder)
        return page("ListPipelines", "PipelineSummaries", ordered, NextToken, MaxResults)

    def _executions(self, pipeline: PipelineRecord, *, with_damaged: bool = False) -> list[Execution]:
        """The pipeline's executions, oldest first; not those of one that had its name before and was deleted. Nobody can tell whose
        a damaged one is: ``with_damaged`` counts it as every pipeline's."""
        name, since = pipeline["PipelineName"], pipeline["CreationTime"]
        damaged: list[Execution] = []
        executions = [
            (record["CreationTime"], execution)
            for execution, record in self.state.executions(damaged)
            if record["PipelineName"] == name and record["CreationTime"] >= since
        ]
        if with_damaged:
            executions += [(execution.made.isoformat(), execution) for execution in damaged]
        return [execution for _, execution in sorted(executions, key=lambda pair: pair[0])]

    def delete_pipeline(self, *, PipelineName: str, ClientRequestToken: str = "") -> Answer:
        """DeletePipeline, unless an execution runs. Its executions are listed no more; their logs, data and versions stay."""
        with self._locked(PipelineName):
            record = self._pipeline(PipelineName, "DeletePipeline")
            running = [execution.identity for execution in self._executions(record) if not has_ended(self.state, execution)]
            if running:
                raise refused("DeletePipeline", f"Pipeline has running executions: {', '.join(running)}.", "ConflictException")
            self.state.pipeline(record["PipelineName"]).unlink(missing_ok=True)
        shutil.rmtree(self.state.tokens(record["PipelineName"]), ignore_errors=True)
        return {"PipelineArn": record["PipelineArn"]}
