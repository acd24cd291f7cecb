"""The model registry's calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pathology.contracts.errors import DataError

from pipelines.local.damage import VERSION
from pipelines.local.errors import check_name, known, missing, refused
from pipelines.local.model_packages import create_group, group_record, groups, register, versions
from pipelines.local.paging import in_order, page
from pipelines.local.pipeline_calls import LocalCalls, Tags
from pipelines.local.records import Record
from pipelines.local.state import arn, locked, now, read_json, with_times, write_json
from steps.shapes import Answer, Request

_CREATOR: dict[str, str] = {}
_APPROVED = ("PendingManualApproval", "Approved", "Rejected")
_SUMMARY = (
    *("ModelPackageArn", "ModelPackageGroupName", "ModelPackageVersion", "ModelPackageDescription"),
    *("CreationTime", "ModelPackageStatus", "ModelApprovalStatus"),
)
_UPDATES = {"ModelApprovalStatus", "ApprovalDescription", "CustomerMetadataProperties", "CustomerMetadataPropertiesToRemove"}


def _without(record: Record, *keys: str) -> Answer:
    return dict(with_times({key: value for key, value in record.items() if key not in keys}))


class RegistryCalls(LocalCalls):
    """Calls on model package groups and their versions."""

    def create_model_package_group(
        self, *, ModelPackageGroupName: str, ModelPackageGroupDescription: str = "", Tags: Tags = ()
    ) -> Answer:
        """CreateModelPackageGroup."""
        check_name("CreateModelPackageGroup", ModelPackageGroupName, 63)
        record = {
            "ModelPackageGroupName": ModelPackageGroupName,
            "ModelPackageGroupArn": arn(f"model-package-group/{ModelPackageGroupName}"),
            "ModelPackageGroupDescription": ModelPackageGroupDescription,
            "CreationTime": now(),
            "CreatedBy": _CREATOR,
            "ModelPackageGroupStatus": "Completed",
            "Tags": list(Tags),
        }
        if not create_group(self.state, record):
            message = f"Model Package Group already exists: {record['ModelPackageGroupArn']}"
            raise refused("CreateModelPackageGroup", message)
        return {"ModelPackageGroupArn": record["ModelPackageGroupArn"]}

    def _group(self, name: str, operation: str) -> Record:
        plain = name.rpartition("/")[2]
        check_name(operation, plain, 63)
        record = group_record(self.state, plain)
        if record is None:
            raise missing(operation, f"ModelPackageGroup {name} does not exist.")
        return record

    def describe_model_package_group(self, *, ModelPackageGroupName: str) -> Answer:
        """DescribeModelPackageGroup."""
        return _without(self._group(ModelPackageGroupName, "DescribeModelPackageGroup"), "Tags")

    def list_model_package_groups(
        self,
        *,
        NameContains: str = "",
        SortBy: str = "CreationTime",
        SortOrder: str = "Descending",
        NextToken: str | None = None,
        MaxResults: int | None = None,
    ) -> Answer:
        """ListModelPackageGroups."""
        summaries = [_without(group, "CreatedBy", "Tags") for group in groups(self.state)]
        named = [group for group in summaries if NameContains.lower() in group["ModelPackageGroupName"].lower()]
        ordered = in_order(named, {"Name": "ModelPackageGroupName"}.get(SortBy, SortBy), SortOrder)
        return page("ListModelPackageGroups", "ModelPackageGroupSummaryList", ordered, NextToken, MaxResults)

    def create_model_package(self, *, ModelPackageGroupName: str, **request: Any) -> Answer:
        """CreateModelPackage: the group's next version."""
        check_name("CreateModelPackage", ModelPackageGroupName, 63)
        self._approval(request, "CreateModelPackage")
        try:
            return {"ModelPackageArn": register(self.state, {"ModelPackageGroupName": ModelPackageGroupName, **request})}
        except DataError as error:
            raise refused("CreateModelPackage", str(error)) from None

    @staticmethod
    def _approval(request: Request, operation: str) -> None:
        status = request.get("ModelApprovalStatus", _APPROVED[0])
        if status not in _APPROVED:
            raise refused(operation, f"ModelApprovalStatus {status!r} is not one of {', '.join(_APPROVED)}.")

    def _version(self, name: str, operation: str) -> tuple[Path, Record]:
        group, _, number = name.partition("model-package/")[2 if name.startswith("arn:") else 0].rpartition("/")
        path = self.state.group(group) / f"{number}.json"
        record = read_json(path, VERSION) if group and number.isdigit() and ".." not in group else None
        if record is None:
            raise missing(operation, f"ModelPackage {name} does not exist.")
        return path, dict(record)

    def describe_model_package(self, *, ModelPackageName: str) -> Answer:
        """DescribeModelPackage, by ARN or ``group/version``."""
        return _without(self._version(ModelPackageName, "DescribeModelPackage")[1], "Tags")

    def list_model_packages(
        self,
        *,
        ModelPackageGroupName: str,
        ModelApprovalStatus: str | None = None,
        SortOrder: str = "Descending",
        NextToken: str | None = None,
        MaxResults: int | None = None,
    ) -> Answer:
        """ListModelPackages, newest first unless asked otherwise."""
        group = self._group(ModelPackageGroupName, "ListModelPackages")["ModelPackageGroupName"]
        summaries = [
            with_times({key: record[key] for key in _SUMMARY if key in record}) for record in versions(self.state, group)
        ]
        asked = [version for version in summaries if ModelApprovalStatus in (None, version["ModelApprovalStatus"])]
        ordered = in_order(asked, "ModelPackageVersion", SortOrder)
        return page("ListModelPackages", "ModelPackageSummaryList", ordered, NextToken, MaxResults)

    def update_model_package(self, *, ModelPackageArn: str, **changes: Any) -> Answer:
        """UpdateModelPackage: approval and metadata."""
        known("UpdateModelPackage", changes, _UPDATES)
        self._approval(changes, "UpdateModelPackage")
        path, _ = self._version(ModelPackageArn, "UpdateModelPackage")
        with locked(path.with_suffix(".lock")):
            _, record = self._version(ModelPackageArn, "UpdateModelPackage")
            metadata = {**record.get("CustomerMetadataProperties", {}), **changes.pop("CustomerMetadataProperties", {})}
            for key in changes.pop("CustomerMetadataPropertiesToRemove", []):
                metadata.pop(key, None)
            changed = {**record, **changes, "CustomerMetadataProperties": metadata, "LastModifiedTime": now()}
            write_json(path, changed)
        return {"ModelPackageArn": ModelPackageArn}
