"""Records that a disk, a crash or another version left in a state that cannot be read: one line that names the file and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pathology.contracts.errors import PathologyError

Members = Mapping[str, type]
_TEXTS = ("PipelineName", "PipelineArn", "CreationTime", "LastModifiedTime")
EXECUTION: Members = {
    **dict.fromkeys(
        (*_TEXTS, "PipelineExecutionArn", "PipelineExecutionDisplayName", "PipelineExecutionStatus"),
        str,
    ),
    "Parameters": dict,
    "Given": list,
}
PIPELINE: Members = dict.fromkeys((*_TEXTS, "PipelineDefinition", "PipelineDescription", "RoleArn"), str)
STEP: Members = {**dict.fromkeys(("StepName", "StepStatus", "StartTime"), str), "Metadata": dict}
GROUP: Members = dict.fromkeys(("ModelPackageGroupName", "ModelPackageGroupArn", "CreationTime"), str)
VERSION: Members = {
    **dict.fromkeys(("ModelPackageArn", "ModelPackageStatus", "ModelApprovalStatus", "CreationTime"), str),
    "ModelPackageVersion": int,
}
MODEL: Members = {**dict.fromkeys(("ModelName", "ModelArn", "CreationTime"), str), "PrimaryContainer": dict}
ENDPOINT_CONFIG: Members = {
    **dict.fromkeys(("EndpointConfigName", "EndpointConfigArn", "CreationTime"), str),
    "ProductionVariants": list,
}
ENDPOINT: Members = dict.fromkeys(
    ("EndpointName", "EndpointArn", "EndpointConfigName", "EndpointStatus", "CreationTime", "LastModifiedTime"), str
)
CACHED: Members = {**dict.fromkeys(("execution", "name", "at"), str), "objects": list}
_JOB = {"ProcessingJob": ("AppSpecification", "ProcessingResources"), "TrainingJob": ("AlgorithmSpecification", "ResourceConfig")}
DEFINITION: Members = {"Version": str, "Parameters": list, "Steps": list}


def job_members(kind: str) -> Members:
    """What a job's record has to have; ``kind`` is ProcessingJob or TrainingJob."""
    names = dict.fromkeys((f"{kind}Name", f"{kind}Arn", f"{kind}Status", "CreationTime"), str)
    return {**names, **dict.fromkeys(_JOB[kind], dict)}


class DamagedError(PathologyError):
    """A file of the local account that cannot be read as what it is; exit code 2, as for an account that does not answer."""

    exit_code = 2

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}: {_remedy(path)}")
        self.path, self.what = path, what


def _remedy(path: Path) -> str:
    """What a person can do about a file of the state's folder, which they know by where it lies."""
    folder = path.parent
    if path.name in ("execution.json", "definition.json"):
        return f"move the folder {folder} away and start another; other executions need nothing of it"
    if path.name == "group.json":
        return "delete it and run python -m pipelines.upsert, which makes it again; the group's versions stay"
    if path.name == "endpoint.json":
        return f"move the folder {folder} away and deploy again; its processes have ended by themselves"
    if folder.name.endswith(".tokens"):
        return "delete it; the word given as --token then starts a new execution"
    remedies = {
        "pipelines": "delete it and run python -m pipelines.upsert, which makes it again; executions of before are listed no more",
        "steps": "delete it; python -m pipelines.retry then runs that step again",
        "jobs": "start another execution, which runs that job's step again; others need nothing of it",
        "models": "delete it and deploy again, which makes it again; endpoints that run keep what they were made of",
        "endpoint-configs": "delete it and deploy again, which makes it again; endpoints that run keep what they were made of",
        "defaults": f"delete it, and make demo TASK={path.stem} again",
    }
    plain = "move it away; nothing else needs it"
    return plain if folder.parent.name == "model-packages" else remedies.get(folder.name, plain)  # a group has any name


def parse(path: Path, content: bytes) -> Any:
    """A record's JSON.

    Raises:
        DamagedError: when it is none.
    """
    if not content.strip(b"\0 \r\n\t"):
        raise DamagedError(path, "is empty")
    try:
        return json.loads(content)
    except ValueError:
        raise DamagedError(path, "is damaged, no valid JSON") from None


def whole(path: Path, record: Any, members: Members) -> Any:
    """``record`` when it has the ``members``, each of its type, and times that are times.

    Raises:
        DamagedError: naming what it has not.
    """
    if not isinstance(record, dict):
        raise DamagedError(path, "is damaged, no mapping of names to values")
    for name, kind in members.items():
        if name not in record:
            raise DamagedError(path, f"has no {name}: it is damaged, or another version of this project wrote it")
        if not isinstance(record[name], kind):
            raise DamagedError(path, f"has a {name} that is not a valid {kind.__name__}")
    for name, value in record.items():
        if name.endswith("Time") or name == "at":
            _check_time(path, name, value)
    return record


def _check_time(path: Path, name: str, value: Any) -> None:
    try:
        aware = datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        aware = False
    if not aware:
        raise DamagedError(path, f"has a {name} that is not a valid time")


def check_step(path: Path, record: Any) -> Any:
    """A step's record, whole, with what it made named by ARN.

    Raises:
        DamagedError: naming what it has not.
    """
    whole(path, record, STEP)
    for kind, made in record["Metadata"].items():
        wanted = {"Condition": "Outcome", "Fail": "ErrorMessage"}.get(kind, "Arn")
        whole(path, made, {wanted: str})
    return record
