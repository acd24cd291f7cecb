"""What an execution came to: outputs, scores, model version, report."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pathology.contracts.cohort_flow import CohortFlow
from pathology.contracts.comparison.file import COMPARISON
from pathology.contracts.errors import DataError
from pathology.contracts.evaluation import EVALUATION
from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.scores import bounds, headline, title, titles, warnings
from pipelines.service.executions import ExecutionState, StepState
from pipelines.service.session import Session

REPORT, PREDICTIONS = "report.html", "predictions"
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


def predictions_folder(session: Session, state: ExecutionState) -> Uri | None:
    """Where the predictions of an execution lie; None when none have been made."""
    for step in reversed(state.steps):
        if step.status == "Succeeded" and step.job and ":processing-job/" in step.job:
            uri = outputs_of(described_job(session, step)).get(PREDICTIONS)
            if uri:
                return Uri.parse(uri)
    return None


def read_predictions(session: Session, folder: Uri) -> list[Mapping[str, str]]:
    """The rows of predictions.csv by column, the first of which names the item.

    Raises:
        DataError: when it is gone or no such table.
    """
    uri = folder / f"{PREDICTIONS}.csv"
    reader = csv.DictReader(io.StringIO(session.store.read(uri).decode(errors="replace"), newline=""))
    rows: list[Mapping[str, str]] = list(reader)
    if not {"status", "reason", "label", "probability"} <= set(reader.fieldnames or ()):
        raise DataError(f"{location(session, uri)}: is no table of predictions: start another execution")
    return rows


def read_evaluation(session: Session, folder: Uri) -> dict[str, Any]:
    """evaluation.json as it stands. Raises DataError when it is gone or damaged."""
    return _json(session, folder / EVALUATION)


def _json(session: Session, uri: Uri) -> dict[str, Any]:
    """The JSON that a step wrote.

    Raises:
        DataError: when it is gone, or damaged.
    """
    try:
        content = json.loads(session.store.read(uri))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{location(session, uri)}: is damaged, no valid JSON: start another execution, or put it back")
    return content


def location(session: Session, uri: Uri) -> str:
    """Where a person finds an object: its path here, its URI on AWS."""
    return str(uri.under(session.store.root) if isinstance(session.store, FolderStore) else uri)


def model_version(session: Session, state: ExecutionState) -> dict[str, Any] | None:
    """What Describe answers of the model version that the execution registered."""
    for step in state.steps:
        if step.status == "Succeeded" and step.model_package:
            return dict(session.sagemaker.describe_model_package(ModelPackageName=step.model_package))
    return None


FLOW_FILES = (("evaluation", EVALUATION), ("slides", "collected.json"), ("cohort", "cohort.json"))
"""Where a cohort flow is, the farthest first: an output and its file."""


def comparison(session: Session, state: ExecutionState) -> dict[str, Any] | None:
    """comparison.json of the execution's Compare step; None before it has ended well, and of pipelines that have none.

    Raises:
        DataError: when it is gone or damaged.
    """
    for step in reversed(state.steps):
        if step.status == "Succeeded" and step.job and ":processing-job/" in step.job:
            uri = outputs_of(described_job(session, step)).get("comparison")
            if uri:
                return _json(session, Uri.parse(uri) / COMPARISON)
    return None


def _judged(found: dict[str, Any]) -> Iterator[str]:
    """Lines on the gate."""
    yield f"gate: {'passed' if found['passed'] else 'not passed'}: {found['message']}"
    yield f"looks at this test set: {found['looks']}"
    yield from (f"warning: {warning}" for warning in found["warnings"])


def cohort_flow(session: Session, state: ExecutionState) -> CohortFlow | None:
    """The cohort flow as far as the execution has come; None for a task without one, or before its first step has ended."""
    outputs: dict[str, str] = {}
    for step in state.steps:
        if step.status == "Succeeded" and step.job and ":processing-job/" in step.job:
            outputs |= outputs_of(described_job(session, step))
    for output, file in FLOW_FILES:
        if output not in outputs or session.store.entry(uri := Uri.parse(outputs[output]) / file) is None:
            continue
        content = _json(session, uri)
        flow = content.get("pathology", content).get("flow")
        if flow is not None:
            return CohortFlow.from_json(json.dumps(flow).encode(), str(uri))
    return None


def summary(session: Session, state: ExecutionState) -> Iterator[str]:
    """Lines for people: the cohort flow, metrics with their intervals, the model version, the report."""
    flow = cohort_flow(session, state)
    if flow is not None:
        yield "cohort flow"
        yield from (f"  {line}" for line in flow.lines())
    folder = evaluation_folder(session, state)
    if folder is not None:
        evaluation = read_evaluation(session, folder)
        block, known = evaluation.get("pathology", {}), titles(evaluation)
        for name in headline(evaluation):
            interval = block["intervals"][name]
            yield f"{title(name, known)}: {interval['value']:.3f} ({block['confidence']:.0%} interval {bounds(interval)})"
        if encoder := block.get("encoder"):
            yield f"encoder: {encoder['name']}, {encoder.get('origin', 'origin not recorded')}, sha256 {encoder['sha256']}"
        yield from (f"warning: {warning}" for warning in warnings(evaluation))
    judged = comparison(session, state)
    if judged is not None:
        yield from _judged(judged)
    version = model_version(session, state)
    if version:
        described = f"version {version['ModelPackageVersion']}, {version['ModelApprovalStatus']}"
        yield f"model package: {version['ModelPackageArn']} ({described})"
        answered = version.get("CustomerMetadataProperties", {}).get(MODEL_VERSION)
        if answered:  # versions of before it was kept have none
            yield f"model version: {answered}, as an endpoint of it answers"
    if folder is not None:
        yield f"report: {location(session, folder / REPORT)}"
    answers = predictions_folder(session, state)
    if answers is not None:
        counts = Counter(row["status"] for row in read_predictions(session, answers))
        yield f"predictions: {', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}"
        yield f"page: {location(session, answers / REPORT)}"
