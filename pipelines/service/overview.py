"""All there is to know of an execution, gathered from the service's answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipelines.checks.settings import defaults
from pipelines.service.executions import ExecutionState, get_state
from pipelines.service.paging import paginate
from pipelines.service.results import (
    REPORT,
    described_job,
    evaluation_folder,
    location,
    model_version,
    outputs_of,
    read_evaluation,
)
from pipelines.service.session import Session
from steps.shapes import Answer


@dataclass(frozen=True)
class Overview:
    """``parameters`` are all that the execution has, ``given`` the names of those that were given; ``outputs`` are URIs by step
    and name; ``log_metrics`` a Training job's last values by step; ``evaluation`` is evaluation.json."""

    state: ExecutionState
    parameters: dict[str, str]
    given: frozenset[str]
    outputs: dict[str, dict[str, str]]
    log_metrics: dict[str, dict[str, float]]
    evaluation: dict[str, Any] | None
    report: str | None
    model_version: Answer | None

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        version = self.model_version or {}
        kept = ("ModelPackageArn", "ModelPackageVersion", "ModelApprovalStatus", "CustomerMetadataProperties")
        return {
            **self.state.as_json(),
            "parameters": [
                {"name": name, "value": value, "given": name in self.given} for name, value in self.parameters.items()
            ],
            "outputs": self.outputs,
            "log_metrics": self.log_metrics,
            "evaluation": self.evaluation,
            "report": self.report,
            "model_version": {key: version[key] for key in kept if key in version} or None,
        }


def overview(session: Session, arn: str) -> Overview:
    """Gather it: the execution, the definition that it was started with, and what Describe answers of each of its jobs."""
    state = get_state(session, arn)
    answer = session.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    call = session.sagemaker.list_pipeline_parameters_for_execution
    given = {item["Name"]: item["Value"] for item in paginate(call, "PipelineParameters", PipelineExecutionArn=arn)}
    default = {name: str(value) for name, value in defaults(json.loads(answer["PipelineDefinition"])).items()}
    outputs, log_metrics = {}, {}
    for step in state.steps:
        if step.job and step.status == "Succeeded":
            job = described_job(session, step)
            outputs[step.step] = outputs_of(job)
            log_metrics[step.step] = {item["MetricName"]: item["Value"] for item in job.get("FinalMetricDataList", [])}
    folder = evaluation_folder(session, state)
    return Overview(
        state=state,
        parameters={**default, **given},
        given=frozenset(given),
        outputs={step: uris for step, uris in outputs.items() if uris},
        log_metrics={step: values for step, values in log_metrics.items() if values},
        evaluation=read_evaluation(session, folder) if folder else None,
        report=location(session, folder / REPORT) if folder else None,
        model_version=model_version(session, state),
    )
