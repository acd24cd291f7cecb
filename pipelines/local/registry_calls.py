"""The model registry's calls."""

from __future__ import annotations

from typing import Any

from pathology.contracts.errors import DataError

from pipelines.local.errors import missing, refused
from pipelines.local.model_packages import create_group, group_record, groups, register, versions
from pipelines.local.pipeline_calls import LocalCalls
from pipelines.local.state import arn, locked, now, read_json, with_times, write_json

_CREATOR: dict[str, str] = {}


class RegistryCalls(LocalCalls):
    """Calls on model package groups and their versions."""

    def create_model_package_group(self, *, ModelPackageGroupName: str, **optional: Any) -> dict[str, Any]:
        """CreateModelPackageGroup."""
        record = {
            "ModelPackageGroupName": ModelPackageGroupName,
            "ModelPackageGroupArn": arn(f"model-package-group/{ModelPackageGroupName}"),
            "ModelPackageGroupDescription": optional.get("ModelPackageGroupDescription", ""),
            "CreationTime": now(),
            "CreatedBy": _CREATOR,
            "ModelPackageGroupStatus": "Completed",
        }
        if not create_group(self.state, record):
            message = f"Model Package Group already exists: {record['ModelPackageGroupArn']}"
            raise refused("CreateModelPackageGroup", message)
        return {"ModelPackageGroupArn": record["ModelPackageGroupArn"]}

    def describe_model_package_group(self, *, ModelPackageGroupName: str) -> dict[str, Any]:
        """DescribeModelPackageGroup."""
        record = group_record(self.state, ModelPackageGroupName.rpartition("/")[2])
        if record is None:
            raise missing("DescribeModelPackageGroup", f"ModelPackageGroup {ModelPackageGroupName} does not exist.")
        return dict(with_times(record))

    def list_model_package_groups(self) -> dict[str, Any]:
        """ListModelPackageGroups."""
        summaries = [
            with_times({key: value for key, value in group.items() if key != "CreatedBy"}) for group in groups(self.state)
        ]
        return {"ModelPackageGroupSummaryList": summaries}

    def create_model_package(self, **request: Any) -> dict[str, Any]:
        """CreateModelPackage."""
        try:
            return {"ModelPackageArn": register(self.state, request)}
        except DataError as error:
            raise refused("CreateModelPackage", str(error)) from None

    def _version(self, name: str, operation: str) -> tuple[str, dict[str, Any]]:
        group, _, number = (
            name.partition("model-package/")[2].rpartition("/") if name.startswith("arn:") else name.rpartition("/")
        )
        record = read_json(self.state.group(group) / f"{number}.json") if group and number.isdigit() else None
        if record is None:
            raise missing(operation, f"ModelPackage {name} does not exist.")
        return group, dict(record)

    def describe_model_package(self, *, ModelPackageName: str) -> dict[str, Any]:
        """DescribeModelPackage, by ARN or ``group/version``."""
        return dict(with_times(self._version(ModelPackageName, "DescribeModelPackage")[1]))

    def list_model_packages(self, *, ModelPackageGroupName: str) -> dict[str, Any]:
        """ListModelPackages, newest first."""
        names = (
            "ModelPackageArn",
            "ModelPackageGroupName",
            "ModelPackageVersion",
            "ModelPackageDescription",
            "CreationTime",
            "ModelPackageStatus",
            "ModelApprovalStatus",
        )
        found = reversed(versions(self.state, ModelPackageGroupName.rpartition("/")[2]))
        return {"ModelPackageSummaryList": [with_times({n: record[n] for n in names if n in record}) for record in found]}

    def update_model_package(self, *, ModelPackageArn: str, **changes: Any) -> dict[str, Any]:
        """UpdateModelPackage: approval and metadata."""
        group, _ = self._version(ModelPackageArn, "UpdateModelPackage")
        path = self.state.group(group) / f"{ModelPackageArn.rpartition('/')[2]}.json"
        with locked(self.state.group(group) / "group.lock"):
            _, record = self._version(ModelPackageArn, "UpdateModelPackage")
            metadata = {**record.get("CustomerMetadataProperties", {}), **changes.pop("CustomerMetadataProperties", {})}
            write_json(path, {**record, **changes, "CustomerMetadataProperties": metadata})
        return {"ModelPackageArn": ModelPackageArn}
