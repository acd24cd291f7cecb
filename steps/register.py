"""Registering a model version with its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.environment import Environment
from steps.jobs import Job
from steps.request import RequestStep
from steps.sdk import Join, StepTypeEnum


def register(
    name: str,
    env: Environment,
    *,
    group: str,
    model: Job,
    scores: Job,
    approval: Any,
    instance_types: tuple[str, ...],
    content_type: str,
    response_type: str,
    metadata: Mapping[str, str],
    description: str,
) -> RequestStep:
    """A model version in ``group``: the artefact, the image that serves it, evaluation.json as its quality metrics."""
    statistics = {
        "ContentType": "application/json",
        "S3Uri": Join(on="/", values=[scores["evaluation"], "evaluation.json"]),
    }
    request: dict[str, Any] = {
        "ModelPackageGroupName": group,
        "ModelPackageDescription": description,
        "ModelApprovalStatus": approval,
        "InferenceSpecification": {
            "Containers": [{"Image": env.images.training, "ModelDataUrl": model.artefact}],
            "SupportedContentTypes": [content_type],
            "SupportedResponseMIMETypes": [response_type],
            "SupportedRealtimeInferenceInstanceTypes": list(instance_types),
            "SupportedTransformInstanceTypes": list(instance_types),
        },
        "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
        "CustomerMetadataProperties": dict(metadata),
    }
    return RequestStep(name, StepTypeEnum.REGISTER_MODEL, request, description=description)
