"""Registering a model version with its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pathology.contracts.artefact import DRIFT_BASELINE
from pathology.contracts.media import JSON

from steps.environment import Environment, Registration
from steps.jobs import Job
from steps.request import RequestStep
from steps.sdk import ExecutionVariables, Join, StepTypeEnum
from steps.shapes import Request, Value

WAITING = "PendingManualApproval"
"""Every version's first status."""


def register(
    name: str,
    env: Environment,
    registration: Registration,
    model: Job,
    scores: Job,
    metadata: Mapping[str, Any],
    description: str,
    *,
    gate: Value,
    looks: Value,
    encoder: Value,
    facts: Sequence[str] = ("labels",),
    accepts: Sequence[str] = (JSON,),
    answers: Sequence[str] = (JSON,),
) -> RequestStep:
    """A model version in the group: the artefact, the image that serves it, evaluation.json as its metrics.

    Its metadata are the run's: ``metadata``, literals and parameters; ``facts``, by name, and the encoder's name, hash and origin out
    of evaluation.json; ``encoder``, the URI that the run was given; ``gate``, what it had to reach, and how many ``looks`` there were at
    its test set; where the statistics of what it was trained on lie, and their sha256; and the execution that registers it, which other
    executions may have trained or evaluated for. ``accepts`` and ``answers`` are the content types that the
    endpoint takes and gives. The encoder's folder is not among the model's data, since Pipelines takes no AdditionalModelDataSources
    (``pipelines.checks.refused``): who makes a model of the version puts it there, from ``encoder_uri``. A person approves it, later.
    """
    statistics = {
        "ContentType": JSON,
        "S3Uri": Join(on="/", values=[scores["evaluation"], "evaluation.json"]),
    }
    request: Request = {
        "ModelPackageGroupName": registration.group,
        "ModelPackageDescription": description,
        "ModelApprovalStatus": WAITING,
        "InferenceSpecification": {
            "Containers": [{"Image": env.images.training, "ModelDataUrl": model.artefact}],
            "SupportedContentTypes": list(accepts),
            "SupportedResponseMIMETypes": list(answers),
            "SupportedRealtimeInferenceInstanceTypes": list(registration.instance_types),
        },
        "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
        "CustomerMetadataProperties": {
            **metadata,
            **{name: scores.value(f"pathology.registry.{name}") for name in facts},
            "encoder": scores.value("pathology.encoder.name"),
            # The folder that the version names holds these weights; where it comes to hold others, the endpoint refuses to start.
            "encoder_sha256": scores.value("pathology.encoder.sha256"),
            "encoder_origin": scores.value("pathology.encoder.origin"),
            "encoder_uri": encoder,
            # Statistics of what it was trained on, for monitors of drift: Evaluate's copy of the file in the artefact.
            "drift_baseline": Join(on="/", values=[scores["evaluation"], DRIFT_BASELINE]),
            "drift_baseline_sha256": scores.value("pathology.registry.drift_baseline_sha256"),
            # What an endpoint of this version answers as model_version.
            "model_version": scores.value("pathology.model.version"),
            "gate": gate,
            "looks": looks,
            "execution": ExecutionVariables.PIPELINE_EXECUTION_ID,
        },
    }
    return RequestStep(name, StepTypeEnum.REGISTER_MODEL, request, description=description)
