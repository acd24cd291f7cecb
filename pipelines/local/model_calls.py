"""The calls on models that endpoints are made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pathology.contracts.errors import DataError
from pathology.contracts.uris import Uri

from pipelines.local.damage import MODEL
from pipelines.local.errors import LocalRefusedError, check_name, check_request, known, refused
from pipelines.local.group_calls import without
from pipelines.local.hosting import model_path
from pipelines.local.paging import named_page
from pipelines.local.pipeline_calls import LocalCalls
from pipelines.local.records import Record
from pipelines.local.state import arn, create_json, now, read_json
from steps.shapes import Answer, Request

_REQUEST = {"PrimaryContainer", "Containers", "ExecutionRoleArn", "Tags", "VpcConfig", "EnableNetworkIsolation"}
_CONTAINER = {
    *("Image", "ImageConfig", "Mode", "ModelDataUrl", "ModelDataSource", "AdditionalModelDataSources", "Environment"),
    "ContainerHostname",
}


def _sources(container: Request) -> Iterator[tuple[str, bool]]:
    """URIs of what a container is given, and whether each is one object."""
    if "ModelDataUrl" in container:
        yield container["ModelDataUrl"], True
    if "ModelDataSource" in container:
        source = container["ModelDataSource"]["S3DataSource"]
        yield source["S3Uri"], source["CompressionType"] == "Gzip"
    for channel in container.get("AdditionalModelDataSources", []):
        source = channel["S3DataSource"]
        yield source["S3Uri"], source["CompressionType"] == "Gzip"


class ModelCalls(LocalCalls):
    """Calls on models."""

    def create_model(self, *, ModelName: str, **request: Any) -> Answer:
        """CreateModel of one container, whose data have to be there."""
        known("CreateModel", request, _REQUEST)
        check_request("CreateModel", {"ModelName": ModelName, **request})
        check_name("CreateModel", ModelName, 63)
        containers = request.pop("Containers", None) or [request.get("PrimaryContainer", {})]
        if len(containers) != 1 or not containers[0]:
            raise refused("CreateModel", f"{len(containers)} containers: a model of this machine has one, its PrimaryContainer.")
        (container,) = containers
        known("CreateModel", container, _CONTAINER)
        if container.get("Mode", "SingleModel") != "SingleModel":
            raise refused("CreateModel", "Mode MultiModel is not supported by local endpoints.")
        self._check_data(container)
        record = {
            "ModelName": ModelName,
            "ModelArn": arn(f"model/{ModelName}"),
            "EnableNetworkIsolation": False,
            "CreationTime": now(),
            **request,
            "PrimaryContainer": container,
            "Tags": list(request.get("Tags", [])),
        }
        if not create_json(model_path(self.state.root, ModelName), record):
            raise refused("CreateModel", f'Cannot create already existing model "{record["ModelArn"]}".')
        return {"ModelArn": record["ModelArn"]}

    def _check_data(self, container: Request) -> None:
        for text, single in _sources(container):
            try:
                uri = Uri.parse(text)
                there = self.state.store.entry(uri) if single else next(iter(self.state.store.list(uri)), None)
            except DataError as error:
                raise refused("CreateModel", str(error)) from None
            if there is None:
                raise refused("CreateModel", f"Could not find model data at {text}.")

    def _model(self, name: str, operation: str) -> Record:
        record = read_json(self._model_path(name, operation), MODEL)
        if record is None:
            raise self._no_model(name, operation)
        return dict(record)

    def _model_path(self, name: str, operation: str) -> Path:
        check_name(operation, name, 63)
        return model_path(self.state.root, name)

    @staticmethod
    def _no_model(name: str, operation: str) -> LocalRefusedError:
        return refused(operation, f'Could not find model "{arn(f"model/{name}")}".')

    def describe_model(self, *, ModelName: str) -> Answer:
        """DescribeModel."""
        return without(self._model(ModelName, "DescribeModel"), "Tags")

    def list_models(self, **request: Any) -> Answer:
        """ListModels."""
        known("ListModels", request, ("NameContains", "SortBy", "SortOrder", "NextToken", "MaxResults"))
        records = [read_json(path, MODEL) for path in (self.state.root / "models").glob("*.json")]
        kept = [{key: record[key] for key in ("ModelName", "ModelArn", "CreationTime")} for record in records if record]
        return named_page("ListModels", "Models", [without(record) for record in kept], "ModelName", **request)

    def delete_model(self, *, ModelName: str) -> None:
        """DeleteModel: of the record alone, one that cannot be read too. Endpoints that run keep what they were made of, and so does the
        archive."""
        path = self._model_path(ModelName, "DeleteModel")
        if not path.is_file():
            raise self._no_model(ModelName, "DeleteModel")
        path.unlink(missing_ok=True)
