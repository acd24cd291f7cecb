"""The calls on endpoint configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.local.damage import ENDPOINT_CONFIG
from pipelines.local.errors import LocalRefusedError, check_name, check_request, known, refused
from pipelines.local.group_calls import without
from pipelines.local.hosting import config_path
from pipelines.local.model_calls import ModelCalls
from pipelines.local.paging import named_page
from pipelines.local.records import Record
from pipelines.local.state import arn, create_json, now, read_json
from steps.shapes import Answer, Request

_REQUEST = {
    *("ProductionVariants", "DataCaptureConfig", "Tags", "KmsKeyId"),
}
_VARIANT_HEEDED = {
    *("VariantName", "ModelName", "InstanceType", "InitialInstanceCount", "InitialVariantWeight"),
    "ContainerStartupHealthCheckTimeoutInSeconds",
}
_VARIANT_REFUSED = ("ServerlessConfig", "InstancePools")


def unheeded(config: Request, model: Request) -> list[str]:
    """What they ask for and this machine has not, a line each: an endpoint's log says it."""
    (variant,) = config["ProductionVariants"]
    lines = [f"{member} is asked for, and means nothing on this machine" for member in sorted(set(variant) - _VARIANT_HEEDED)]
    if variant["InitialInstanceCount"] > 1:
        lines.append(f"{variant['InitialInstanceCount']} instances are asked for: this machine runs one server")
    if config.get("DataCaptureConfig", {}).get("EnableCapture"):
        lines.append("data capture is asked for: nothing is captured on this machine")
    if "KmsKeyId" in config:
        lines.append("a KMS key is asked for: nothing is encrypted on this machine")
    if "VpcConfig" in model:
        lines.append("a VPC is asked for: this machine has none")
    if model.get("EnableNetworkIsolation"):
        lines.append("network isolation is asked for: this machine has none")
    return lines


class EndpointConfigCalls(ModelCalls):
    """Calls on endpoint configurations."""

    def create_endpoint_config(self, *, EndpointConfigName: str, **request: Any) -> Answer:
        """CreateEndpointConfig of one variant, whose model has to be there."""
        known("CreateEndpointConfig", request, _REQUEST)
        check_request("CreateEndpointConfig", {"EndpointConfigName": EndpointConfigName, **request})
        check_name("CreateEndpointConfig", EndpointConfigName, 63)
        variants = request["ProductionVariants"]
        if len(variants) != 1:
            raise refused("CreateEndpointConfig", f"{len(variants)} production variants: an endpoint of this machine has one.")
        (variant,) = variants
        for member in _VARIANT_REFUSED:
            if member in variant:
                raise refused("CreateEndpointConfig", f"{member} is not supported by local endpoints.")
        for member in ("ModelName", "InstanceType", "InitialInstanceCount"):
            if member not in variant:
                raise refused("CreateEndpointConfig", f"ProductionVariants[0] has no {member}.")
        self._model(variant["ModelName"], "CreateEndpointConfig")
        record = {
            "EndpointConfigName": EndpointConfigName,
            "EndpointConfigArn": arn(f"endpoint-config/{EndpointConfigName}"),
            "CreationTime": now(),
            **request,
            "Tags": list(request.get("Tags", [])),
        }
        if not create_json(config_path(self.state.root, EndpointConfigName), record):
            message = f'Cannot create already existing endpoint configuration "{record["EndpointConfigArn"]}".'
            raise refused("CreateEndpointConfig", message)
        return {"EndpointConfigArn": record["EndpointConfigArn"]}

    def _config(self, name: str, operation: str) -> Record:
        record = read_json(self._config_path(name, operation), ENDPOINT_CONFIG)
        if record is None:
            raise self._no_config(name, operation)
        return dict(record)

    def _config_path(self, name: str, operation: str) -> Path:
        check_name(operation, name, 63)
        return config_path(self.state.root, name)

    @staticmethod
    def _no_config(name: str, operation: str) -> LocalRefusedError:
        return refused(operation, f'Could not find endpoint configuration "{arn(f"endpoint-config/{name}")}".')

    def describe_endpoint_config(self, *, EndpointConfigName: str) -> Answer:
        """DescribeEndpointConfig."""
        return without(self._config(EndpointConfigName, "DescribeEndpointConfig"), "Tags")

    def list_endpoint_configs(self, **request: Any) -> Answer:
        """ListEndpointConfigs."""
        known("ListEndpointConfigs", request, ("NameContains", "SortBy", "SortOrder", "NextToken", "MaxResults"))
        records = [read_json(path, ENDPOINT_CONFIG) for path in (self.state.root / "endpoint-configs").glob("*.json")]
        names = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
        kept = [without({key: record[key] for key in names}) for record in records if record]
        return named_page("ListEndpointConfigs", "EndpointConfigs", kept, "EndpointConfigName", **request)

    def delete_endpoint_config(self, *, EndpointConfigName: str) -> None:
        """DeleteEndpointConfig, one in use too, as the service does: the endpoint goes on with what it was made of. Of one that cannot be
        read too."""
        path = self._config_path(EndpointConfigName, "DeleteEndpointConfig")
        if not path.is_file():
            raise self._no_config(EndpointConfigName, "DeleteEndpointConfig")
        path.unlink(missing_ok=True)
