"""Pipelines: create, update, describe, list, delete, tag."""

from __future__ import annotations

import json
from typing import Any

from pipelines.checks.graph import graph_problems
from pipelines.local.errors import missing, refused
from pipelines.local.state import State, arn, create_json, locked, now, read_json, with_times, write_json

ROLE = "arn:aws:iam::000000000000:role/local"


class LocalCalls:
    """What every group of calls stands on."""

    def __init__(self, state: State) -> None:
        self.state = state


class PipelineCalls(LocalCalls):
    """Calls on pipelines."""

    def _pipeline(self, name: str, operation: str) -> dict[str, Any]:
        record = read_json(self.state.pipeline(name.rpartition("/")[2]))
        if record is None:
            raise missing(operation, f"Pipeline '{name}' does not exist.")
        return dict(record)

    @staticmethod
    def _checked(definition: str, operation: str) -> str:
        try:
            found = next(iter(graph_problems(json.loads(definition))), None)
        except (ValueError, KeyError, TypeError) as error:
            raise refused(operation, f"Unable to parse pipeline definition: {error!r}") from None
        if found:
            raise refused(operation, f"Unable to parse pipeline definition. {found[0]}: {found[1]}")
        return definition

    def create_pipeline(self, *, PipelineName: str, PipelineDefinition: str, RoleArn: str, **optional: Any) -> dict[str, Any]:
        """CreatePipeline."""
        record = {
            "PipelineName": PipelineName,
            "PipelineArn": arn(f"pipeline/{PipelineName}"),
            "PipelineDefinition": self._checked(PipelineDefinition, "CreatePipeline"),
            "PipelineDescription": optional.get("PipelineDescription", ""),
            "RoleArn": RoleArn,
            "PipelineStatus": "Active",
            "CreationTime": now(),
            "LastModifiedTime": now(),
            "Tags": optional.get("Tags", []),
        }
        if not create_json(self.state.pipeline(PipelineName), record):
            raise refused(
                "CreatePipeline", f"Pipeline names must be unique within an AWS account and region. {PipelineName} exists."
            )
        return {"PipelineArn": record["PipelineArn"]}

    def update_pipeline(self, *, PipelineName: str, **changes: Any) -> dict[str, Any]:
        """UpdatePipeline."""
        if "PipelineDefinition" in changes:
            self._checked(changes["PipelineDefinition"], "UpdatePipeline")
        path = self.state.pipeline(PipelineName)
        with locked(path.with_suffix(".lock")):
            record = self._pipeline(PipelineName, "UpdatePipeline")
            write_json(path, {**record, **changes, "LastModifiedTime": now()})
        return {"PipelineArn": record["PipelineArn"]}

    def describe_pipeline(self, *, PipelineName: str) -> dict[str, Any]:
        """DescribePipeline."""
        record = self._pipeline(PipelineName, "DescribePipeline")
        return dict(with_times({key: value for key, value in record.items() if key != "Tags"}))

    def list_pipelines(self) -> dict[str, Any]:
        """ListPipelines."""
        names = ("PipelineArn", "PipelineName", "PipelineDescription", "RoleArn", "CreationTime", "LastModifiedTime")
        found = [read_json(path) for path in sorted((self.state.root / "pipelines").glob("*.json"))]
        return {"PipelineSummaries": [with_times({name: record[name] for name in names}) for record in found if record]}

    def delete_pipeline(self, *, PipelineName: str, ClientRequestToken: str = "") -> dict[str, Any]:
        """DeletePipeline: the pipeline alone; executions, data and versions stay."""
        record = self._pipeline(PipelineName, "DeletePipeline")
        self.state.pipeline(PipelineName).unlink(missing_ok=True)
        return {"PipelineArn": record["PipelineArn"]}

    def add_tags(self, *, ResourceArn: str, Tags: list[dict[str, str]]) -> dict[str, Any]:
        """AddTags, on pipelines."""
        name = ResourceArn.rpartition("/")[2]
        path = self.state.pipeline(name)
        with locked(path.with_suffix(".lock")):
            record = self._pipeline(name, "AddTags")
            tags = {tag["Key"]: tag["Value"] for tag in [*record.get("Tags", []), *Tags]}
            record["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
            write_json(path, record)
        return {"Tags": record["Tags"]}

    def list_tags(self, *, ResourceArn: str) -> dict[str, Any]:
        """ListTags, of pipelines."""
        return {"Tags": self._pipeline(ResourceArn, "ListTags").get("Tags", [])}
