"""The calls on model package groups."""

from __future__ import annotations

from pipelines.local.errors import check_name, missing, refused
from pipelines.local.model_packages import create_group, group_record, groups
from pipelines.local.paging import in_order, page
from pipelines.local.pipeline_calls import LocalCalls, Tags
from pipelines.local.records import Record
from pipelines.local.state import arn, now, with_times
from steps.shapes import Answer

_CREATOR: dict[str, str] = {}


def without(record: Record, *keys: str) -> Answer:
    """A record as it is answered, but for some keys."""
    return dict(with_times({key: value for key, value in record.items() if key not in keys}))


class GroupCalls(LocalCalls):
    """Calls on model package groups."""

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
        return without(self._group(ModelPackageGroupName, "DescribeModelPackageGroup"), "Tags")

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
        summaries = [without(group, "CreatedBy", "Tags") for group in groups(self.state)]
        named = [group for group in summaries if NameContains.lower() in group["ModelPackageGroupName"].lower()]
        ordered = in_order(named, {"Name": "ModelPackageGroupName"}.get(SortBy, SortBy), SortOrder)
        return page("ListModelPackageGroups", "ModelPackageGroupSummaryList", ordered, NextToken, MaxResults)
