"""The model registry's calls: versions, beside the groups that they are of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pathology.contracts.description.schema import ModelCard
from pathology.contracts.errors import DataError

from pipelines.local.damage import VERSION
from pipelines.local.errors import check_name, check_request, known, missing, refused
from pipelines.local.group_calls import GroupCalls, without
from pipelines.local.locks import locked_now
from pipelines.local.model_packages import register, versions
from pipelines.local.paging import in_order, page
from pipelines.local.records import Record
from pipelines.local.state import now, read_json, with_times, write_json
from steps.shapes import Answer, Request

_APPROVED = ("PendingManualApproval", "Approved", "Rejected")
_SUMMARY = (
    *("ModelPackageArn", "ModelPackageGroupName", "ModelPackageVersion", "ModelPackageDescription"),
    *("CreationTime", "ModelPackageStatus", "ModelApprovalStatus", "ModelLifeCycle"),
)
_UPDATES = {
    *("ModelApprovalStatus", "ApprovalDescription", "CustomerMetadataProperties", "CustomerMetadataPropertiesToRemove"),
    *("ModelLifeCycle", "ModelCard", "SourceUri", "ClientToken"),
}
_MAX_METADATA = 50


def _check_card(card: Request) -> None:
    """Hold a card's content against the schema that the service documents.

    Raises:
        ClientError: naming the first member that does not fit.
    """
    if "ModelCardContent" in card:
        try:
            ModelCard.from_json(card["ModelCardContent"].encode(), "ModelCardContent")
        except DataError as error:
            raise refused("UpdateModelPackage", str(error)) from None


class RegistryCalls(GroupCalls):
    """Calls on model package groups and their versions."""

    def create_model_package(self, *, ModelPackageGroupName: str, **request: Any) -> Answer:
        """CreateModelPackage: the group's next version."""
        check_name("CreateModelPackage", ModelPackageGroupName, 63)
        status = request.get("ModelApprovalStatus", _APPROVED[0])
        if status not in _APPROVED:
            raise refused("CreateModelPackage", f"ModelApprovalStatus {status!r} is not one of {', '.join(_APPROVED)}.")
        try:
            return {"ModelPackageArn": register(self.state, {"ModelPackageGroupName": ModelPackageGroupName, **request})}
        except DataError as error:
            raise refused("CreateModelPackage", str(error)) from None

    def _version(self, name: str, operation: str) -> tuple[Path, Record]:
        group, _, number = name.partition("model-package/")[2 if name.startswith("arn:") else 0].rpartition("/")
        path = self.state.group(group) / f"{number}.json"
        record = read_json(path, VERSION) if group and number.isdigit() and ".." not in group else None
        if record is None:
            raise missing(operation, f"ModelPackage {name} does not exist.")
        return path, dict(record)

    @contextmanager
    def _changing(self, name: str, operation: str) -> Iterator[tuple[Path, Record]]:
        """A version that nobody else changes meanwhile; as it stands then, so that one deleted a moment ago is not there."""
        path, _ = self._version(name, operation)
        with locked_now(path.with_suffix(".lock")) as mine:
            if not mine:
                raise refused(operation, f"Somebody else is changing ModelPackage {name} just now.", "ConflictException")
            yield self._version(name, operation)

    def describe_model_package(self, *, ModelPackageName: str) -> Answer:
        """DescribeModelPackage, by ARN or ``group/version``."""
        return without(self._version(ModelPackageName, "DescribeModelPackage")[1], "Tags")

    def list_model_packages(
        self,
        *,
        ModelPackageGroupName: str,
        ModelApprovalStatus: str | None = None,
        SortBy: str = "CreationTime",
        SortOrder: str = "Ascending",
        NextToken: str | None = None,
        MaxResults: int | None = None,
        **optional: Any,
    ) -> Answer:
        """ListModelPackages of a group, oldest first unless asked otherwise; by name is by version."""
        known("ListModelPackages", optional, ())
        group = self._group(ModelPackageGroupName, "ListModelPackages")["ModelPackageGroupName"]
        summaries = [
            with_times({key: record[key] for key in _SUMMARY if key in record}) for record in versions(self.state, group)
        ]
        asked = [version for version in summaries if ModelApprovalStatus in (None, version["ModelApprovalStatus"])]
        by = {"Name": "ModelPackageVersion"}.get(SortBy, SortBy)
        return page("ListModelPackages", "ModelPackageSummaryList", in_order(asked, by, SortOrder), NextToken, MaxResults)

    def update_model_package(self, *, ModelPackageArn: str, **changes: Any) -> Answer:
        """UpdateModelPackage: what is given takes the place of what was there; metadata are added to those that were there."""
        known("UpdateModelPackage", changes, _UPDATES)
        check_request("UpdateModelPackage", {"ModelPackageArn": ModelPackageArn, **changes})
        _check_card(changes.get("ModelCard", {}))
        changes = {key: value for key, value in changes.items() if key != "ClientToken"}
        with self._changing(ModelPackageArn, "UpdateModelPackage") as (path, record):
            metadata = {**record.get("CustomerMetadataProperties", {}), **changes.pop("CustomerMetadataProperties", {})}
            for key in changes.pop("CustomerMetadataPropertiesToRemove", []):
                metadata.pop(key, None)
            if len(metadata) > _MAX_METADATA:
                raise refused("UpdateModelPackage", f"CustomerMetadataProperties: {len(metadata)} entries, over {_MAX_METADATA}.")
            changed = {**record, **changes, "CustomerMetadataProperties": metadata, "LastModifiedTime": now()}
            write_json(path, changed)
        return {"ModelPackageArn": record["ModelPackageArn"]}

    def delete_model_package(self, *, ModelPackageName: str) -> Answer:
        """DeleteModelPackage; its number is given to no other."""
        with self._changing(ModelPackageName, "DeleteModelPackage") as (path, _):
            path.unlink()
        return {}
