"""The local model registry: a folder a group, a file a version."""

from __future__ import annotations

from pathology.contracts.errors import DataError
from pathology.contracts.uris import Uri

from pipelines.local.damage import GROUP, VERSION
from pipelines.local.records import Record
from pipelines.local.state import State, arn, create_json, now, read_json
from steps.shapes import Request


def versions(state: State, group: str) -> list[Record]:
    """Every version of a group, oldest first."""
    records = [read_json(path, VERSION) for path in state.group(group).glob("[0-9]*.json")]
    return sorted((version for version in records if version), key=lambda version: version["ModelPackageVersion"])


def register(state: State, request: Request) -> str:
    """Make a model version; its ARN. Numbers only grow, and two at once get two numbers.

    Raises:
        DataError: when the group or the model's artefact is not there.
    """
    group = request["ModelPackageGroupName"]
    if read_json(state.group_record(group), GROUP) is None:
        raise DataError(f"ModelPackageGroup {group} does not exist: an upsert makes it")
    for container in request.get("InferenceSpecification", {}).get("Containers", []):
        uri = container.get("ModelDataUrl")
        if uri and state.store.entry(Uri.parse(uri)) is None:
            raise DataError(f"{uri}: there is no such model artefact")
    # By the files' names: a version that cannot be read keeps its number, and is no reason to make none. Of one that was deleted
    # its lock file is left, so that its number comes to mean no other.
    files = [path for suffix in ("json", "lock") for path in state.group(group).glob(f"[0-9]*.{suffix}")]
    number = max((int(path.stem) for path in files), default=0)
    while True:
        number += 1
        version = {
            **{key: value for key, value in request.items() if key != "ClientToken"},
            "ModelPackageVersion": number,
            "ModelPackageArn": arn(f"model-package/{group}/{number}"),
            "ModelPackageName": f"{group}/{number}",
            "CreationTime": now(),
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": {"ValidationStatuses": []},
            "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
        }
        if create_json(state.group(group) / f"{number}.json", version):
            return str(version["ModelPackageArn"])


def create_group(state: State, record: Record) -> bool:
    """Make a group; False when it is there."""
    return create_json(state.group_record(record["ModelPackageGroupName"]), record)


def group_record(state: State, group: str) -> Record | None:
    """A group's record, or None."""
    record = read_json(state.group_record(group), GROUP)
    return dict(record) if record else None


def groups(state: State) -> list[Record]:
    """Every group, oldest first."""
    records = [read_json(path, GROUP) for path in (state.root / "model-packages").glob("*/group.json")]
    return sorted((group for group in records if group), key=lambda group: group["CreationTime"])
