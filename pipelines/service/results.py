"""What an execution came to: outputs, scores, model version, report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.scores import headline, title, titles, warnings
from pipelines.service.executions import ExecutionState, StepState
from pipelines.service.session import Session

EVALUATION, REPORT = "evaluation.json", "report.html"
MODEL_VERSION = "model_version"
"""The name of a model's identity: in a registered version's metadata, and in the answers of an endpoint of it."""


def described_job(session: Session, step: StepState) -> dict[str, Any]:
    """What Describe answers of a step's job."""
    assert step.job is not None, f"{step.step} has no job"
    name = step.job.rpartition("/")[2]
    if ":training-job/" in step.job:
        return dict(session.sagemaker.describe_training_job(TrainingJobName=name))
    return dict(session.sagemaker.describe_processing_job(ProcessingJobName=name))


def hosts_of(job: dict[str, Any]) -> int:
    """How many hosts a job has."""
    cluster = job.get("ResourceConfig") or job["ProcessingResources"]["ClusterConfig"]
    return int(cluster.get("InstanceCount") or sum(group["InstanceCount"] for group in cluster["InstanceGroups"]))


def outputs_of(job: dict[str, Any]) -> dict[str, str]:
    """A job's outputs by name, as URIs; a Training job's are its model and its checkpoints."""
    uris = {
        item["OutputName"]: item["S3Output"]["S3Uri"]
        for item in job.get("ProcessingOutputConfig", {}).get("Outputs", [])
        if "S3Output" in item
    }
    model = job.get("ModelArtifacts", {}).get("S3ModelArtifacts")
    checkpoints = job.get("CheckpointConfig", {}).get("S3Uri")
    return {**uris, **({"model": model} if model else {}), **({"checkpoints": checkpoints} if checkpoints else {})}


def evaluation_folder(session: Session, state: ExecutionState) -> Uri | None:
    """Where the evaluation step's output lies; None when none has ended well."""
    for step in reversed(state.steps):
        if step.status == "Succeeded" and step.job and ":processing-job/" in step.job:
            uri = outputs_of(described_job(session, step)).get("evaluation")
            if uri:
                return Uri.parse(uri)
    return None


def read_evaluation(session: Session, folder: Uri) -> dict[str, Any]:
    """evaluation.json as it stands. Raises DataError when it is gone."""
    return dict(json.loads(session.store.read(folder / EVALUATION)))


def location(session: Session, uri: Uri) -> str:
    """Where a person finds an object: its path here, its URI on AWS."""
    return str(uri.under(session.store.root) if isinstance(session.store, FolderStore) else uri)


def model_version(session: Session, state: ExecutionState) -> dict[str, Any] | None:
    """What Describe answers of the model version that the execution registered."""
    for step in state.steps:
        if step.status == "Succeeded" and step.model_package:
            return dict(session.sagemaker.describe_model_package(ModelPackageName=step.model_package))
    return None


def summary(session: Session, state: ExecutionState) -> Iterator[str]:
    """Lines for people: metrics with their intervals, the model version, the report."""
    folder = evaluation_folder(session, state)
    if folder is not None:
        evaluation = read_evaluation(session, folder)
        block, known = evaluation.get("pathology", {}), titles(evaluation)
        for name in headline(evaluation):
            interval = block["intervals"][name]
            bounds = f"{block['confidence']:.0%} interval {interval['low']:.3f} to {interval['high']:.3f}"
            yield f"{title(name, known)}: {interval['value']:.3f} ({bounds})"
        yield from (f"warning: {warning}" for warning in warnings(evaluation))
    version = model_version(session, state)
    if version:
        described = f"version {version['ModelPackageVersion']}, {version['ModelApprovalStatus']}"
        yield f"model package: {version['ModelPackageArn']} ({described})"
        answered = version.get("CustomerMetadataProperties", {}).get(MODEL_VERSION)
        if answered:  # versions of before it was kept have none
            yield f"model version: {answered}, as an endpoint of it answers"
    if folder is not None:
        yield f"report: {location(session, folder / REPORT)}"
