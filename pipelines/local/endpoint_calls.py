"""The calls on endpoints: each is a folder, and a process of its own that outlives whoever made it."""

from __future__ import annotations

import os
from typing import Any

from pipelines.local.endpoint_config_calls import EndpointConfigCalls, unheeded
from pipelines.local.errors import check_name, check_request, known, refused
from pipelines.local.hosting import Hosted, hosted, reap_dead_front, spawn
from pipelines.local.model_server import container_of, variant_of
from pipelines.local.paging import named_page
from pipelines.local.records import Deployment, EndpointRecord
from pipelines.local.state import arn, create_json, now, with_times
from steps.shapes import Answer, Request

_ANSWERED = (
    *("EndpointName", "EndpointArn", "EndpointConfigName", "EndpointStatus", "FailureReason"),
    *("CreationTime", "LastModifiedTime", "LastDeploymentConfig"),
)
_SUMMARY = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
_SETTLED = ("InService", "Failed")


def _variant(deployment: Deployment, instances: int, status: list[Answer]) -> Answer:
    variant, image = variant_of(deployment), container_of(deployment).get("Image", "")
    weight = float(variant.get("InitialVariantWeight", 1.0))
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image}] if image else [],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": instances,
        "DesiredInstanceCount": 1,
        **({"VariantStatus": status} if status else {}),
    }


def _described(record: EndpointRecord) -> Answer:
    """What Describe answers of a record. The variant of an update stands in PendingDeploymentSummary until it serves alone; one whose
    server is being started again has no instance meanwhile, and says why."""
    answer: Answer = {key: record[key] for key in _ANSWERED if key in record}  # type: ignore[literal-required]
    if "Deployed" in record:
        restarting = [{"Status": "Creating", **record["Restarting"]}] if "Restarting" in record else []
        answer["ProductionVariants"] = [_variant(record["Deployed"], 0 if restarting else 1, restarting)]
    if "Pending" in record:
        pending = record["Pending"]
        baking = "Baking" in pending
        status = {"Status": "Baking" if baking else "Creating", "StartTime": pending["Baking" if baking else "StartTime"]}
        answer["PendingDeploymentSummary"] = {
            "EndpointConfigName": pending["Config"]["EndpointConfigName"],
            "ProductionVariants": [_variant(pending, int(baking), [status])],
            "StartTime": pending["StartTime"],
        }
    return dict(with_times(answer))


class EndpointCalls(EndpointConfigCalls):
    """Calls on endpoints."""

    def _wanted(self, name: str, operation: str, deployment_config: Request | None) -> Deployment:
        """What an endpoint is to run, as its configuration and its model are now."""
        config = self._config(name, operation)
        model = self._model(config["ProductionVariants"][0]["ModelName"], operation)
        wanted: Deployment = {"Config": config, "Model": model, "StartTime": now()}
        if deployment_config is not None:
            if "RollingUpdatePolicy" in deployment_config:
                raise refused(operation, "RollingUpdatePolicy needs several instances: local endpoints update blue/green.")
            wanted["DeploymentConfig"] = deployment_config
        return wanted

    def create_endpoint(self, *, EndpointName: str, EndpointConfigName: str, **request: Any) -> Answer:
        """CreateEndpoint: its process is started, and goes on when this one ends."""
        known("CreateEndpoint", request, ("DeploymentConfig", "Tags"))
        check_request("CreateEndpoint", {"EndpointName": EndpointName, "EndpointConfigName": EndpointConfigName, **request})
        check_name("CreateEndpoint", EndpointName, 63)
        wanted = self._wanted(EndpointConfigName, "CreateEndpoint", request.get("DeploymentConfig"))
        endpoint, made = hosted(self.state.root, EndpointName), now()
        record: EndpointRecord = {
            "EndpointName": EndpointName,
            "EndpointArn": arn(f"endpoint/{EndpointName}"),
            "EndpointConfigName": EndpointConfigName,
            "EndpointStatus": "Creating",
            "CreationTime": made,
            "LastModifiedTime": made,
            "Tags": list(request.get("Tags", [])),
            "Pending": wanted,
        }
        endpoint.folder.mkdir(parents=True, exist_ok=True)
        lock = endpoint.take_lock()
        if lock is None or not create_json(endpoint.record_path, record):
            if lock is not None:
                os.close(lock)
            raise refused("CreateEndpoint", f'Cannot create already existing endpoint "{record["EndpointArn"]}".')
        self._say_unheeded(endpoint, wanted)
        spawn(self.state.root, endpoint, lock)
        return {"EndpointArn": record["EndpointArn"]}

    @staticmethod
    def _say_unheeded(endpoint: Hosted, wanted: Deployment) -> None:
        for line in unheeded(wanted["Config"], wanted["Model"]):
            endpoint.log(line)
        config = wanted.get("DeploymentConfig", {})
        if config.get("AutoRollbackConfiguration", {}).get("Alarms"):
            endpoint.log("alarms are named: this machine has none, and an update is rolled back by what its first answers are")
        routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
        if routing.get("Type", "ALL_AT_ONCE") != "ALL_AT_ONCE":
            endpoint.log(f"{routing['Type']} is asked for: this machine shifts all requests at once")

    def _endpoint(self, name: str, operation: str) -> tuple[Hosted, EndpointRecord]:
        """An endpoint as it stands when a process of it that died has been seen to."""
        check_name(operation, name, 63)
        endpoint = hosted(self.state.root, name)
        reap_dead_front(endpoint)
        record = endpoint.record
        if record is None:
            raise refused(operation, f'Could not find endpoint "{arn(f"endpoint/{name}")}".')
        return endpoint, record

    def update_endpoint(self, *, EndpointName: str, EndpointConfigName: str, **request: Any) -> Answer:
        """UpdateEndpoint: blue/green, all requests at once; see :mod:`pipelines.local.front`."""
        known("UpdateEndpoint", request, ("DeploymentConfig", "RetainDeploymentConfig"))
        check_request("UpdateEndpoint", {"EndpointName": EndpointName, "EndpointConfigName": EndpointConfigName, **request})
        endpoint, record = self._endpoint(EndpointName, "UpdateEndpoint")
        given = request.get("DeploymentConfig")
        if request.get("RetainDeploymentConfig"):
            given = record.get("LastDeploymentConfig")
        wanted = self._wanted(EndpointConfigName, "UpdateEndpoint", given)
        refusal: list[str] = []

        def change(record: EndpointRecord) -> None:
            if record["EndpointStatus"] == "Failed":
                refusal.append(f'Cannot update failed endpoint "{record["EndpointArn"]}": it can only be deleted.')
            elif record["EndpointStatus"] != "InService":
                refusal.append(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
            else:
                record.pop("FailureReason", None)
                record.update({"EndpointStatus": "Updating", "Pending": wanted})

        endpoint.change(change)
        if refusal:
            raise refused("UpdateEndpoint", refusal[0])
        self._say_unheeded(endpoint, wanted)
        return {"EndpointArn": record["EndpointArn"]}

    def describe_endpoint(self, *, EndpointName: str) -> Answer:
        """DescribeEndpoint. After an update that was rolled back it is InService with the configuration of before, and FailureReason
        says why."""
        return _described(self._endpoint(EndpointName, "DescribeEndpoint")[1])

    def list_endpoints(self, *, StatusEquals: str | None = None, **request: Any) -> Answer:
        """ListEndpoints."""
        known("ListEndpoints", request, ("NameContains", "SortBy", "SortOrder", "NextToken", "MaxResults"))
        summaries = []
        for folder in sorted((self.state.root / "endpoints").glob("*/")):
            endpoint = Hosted(folder)
            reap_dead_front(endpoint)
            if (record := endpoint.record) is not None and StatusEquals in (None, record["EndpointStatus"]):
                summaries.append(with_times({key: record[key] for key in _SUMMARY}))  # type: ignore[literal-required]
        if request.get("SortBy") == "Status":
            request["SortBy"] = "EndpointStatus"
        return named_page("ListEndpoints", "Endpoints", summaries, "EndpointName", **request)

    def delete_endpoint(self, *, EndpointName: str) -> None:
        """DeleteEndpoint; its processes answer what has come in, end, and its folder goes with them."""
        endpoint, _ = self._endpoint(EndpointName, "DeleteEndpoint")
        refusal: list[str] = []
        failed: list[bool] = []

        def change(record: EndpointRecord) -> None:
            if record["EndpointStatus"] not in _SETTLED:
                refusal.append(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
                return
            failed.append(record["EndpointStatus"] == "Failed")
            record["EndpointStatus"] = "Deleting"

        endpoint.change(change)
        if refusal:
            raise refused("DeleteEndpoint", refusal[0])
        reap_dead_front(endpoint)
