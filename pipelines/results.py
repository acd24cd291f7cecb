"""What an execution came to: its scores, its model version, its report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pathology.contracts.storage import FolderStore
from pathology.contracts.uris import Uri

from pipelines.session import Session

SHOWN = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy", "sensitivity": "sensitivity", "specificity": "specificity"}
EVALUATION, REPORT = "evaluation.json", "report.html"


def evaluation_folder(sagemaker: Any, steps: list[dict[str, Any]]) -> Uri | None:
    """Where the evaluation step's output lies; None when none has ended well."""
    for step in steps:
        arn = step.get("Metadata", {}).get("ProcessingJob", {}).get("Arn")
        if step["StepStatus"] != "Succeeded" or arn is None:
            continue
        job = sagemaker.describe_processing_job(ProcessingJobName=arn.rpartition("/")[2])
        for output in job.get("ProcessingOutputConfig", {}).get("Outputs", []):
            if output["OutputName"] == "evaluation":
                return Uri.parse(output["S3Output"]["S3Uri"])
    return None


def summary(session: Session, steps: list[dict[str, Any]]) -> Iterator[str]:
    """Lines for people: metrics with their intervals, the model version, the report."""
    folder = evaluation_folder(session.sagemaker, steps)
    if folder is not None:
        evaluation = json.loads(session.store.read(folder / EVALUATION))
        own = evaluation.get("pathology", {})
        for name, title in SHOWN.items():
            interval = own["intervals"][name]
            bounds = f"{own['confidence']:.0%} interval {interval['low']:.3f} to {interval['high']:.3f}"
            yield f"{title}: {interval['value']:.3f} ({bounds})"
        yield from (f"caution: {caution}" for caution in own["cautions"])
    for step in steps:
        arn = step.get("Metadata", {}).get("RegisterModel", {}).get("Arn")
        if arn:
            version = session.sagemaker.describe_model_package(ModelPackageName=arn)
            yield f"model package: {arn} (version {version['ModelPackageVersion']}, {version['ModelApprovalStatus']})"
    if folder is not None:
        report = folder / REPORT
        yield f"report: {report.under(session.store.root) if isinstance(session.store, FolderStore) else report}"
