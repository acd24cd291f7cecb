"""Registering a model version with its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.environment import Environment, Registration
from steps.jobs import Job
from steps.request import RequestStep
from steps.sdk import Join, StepTypeEnum

JSON = "application/json"


def register(
    name: str,
    env: Environment,
    place: Registration,
    model: Job,
    scores: Job,
    approval: Any,
    metadata: Mapping[str, str],
    description: str,
) -> RequestStep:
    """A model version in the group: the artefact, the image that serves it, evaluation.json as its quality metrics."""
    statistics = {
        "ContentType": JSON,
        "S3Uri": Join(on="/", values=[scores["evaluation"], "evaluation.json"]),
    }
    request: dict[str, Any] = {
        "ModelPackageGroupName": place.group,
        "ModelPackageDescription": description,
        "ModelApprovalStatus": approval,
        "InferenceSpecification": {
            "Containers": [{"Image": env.images.training, "ModelDataUrl": model.artefact}],
            "SupportedContentTypes": [JSON],
            "SupportedResponseMIMETypes": [JSON],
            "SupportedRealtimeInferenceInstanceTypes": list(place.instance_types),
            "SupportedTransformInstanceTypes": list(place.instance_types),
        },
        "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
        "CustomerMetadataProperties": dict(metadata),
    }
    return RequestStep(name, StepTypeEnum.REGISTER_MODEL, request, description=description)
