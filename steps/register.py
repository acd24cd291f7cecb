"""Registering a model version with its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pathology.contracts.media import JSON

from steps.environment import Environment, Registration
from steps.jobs import Job
from steps.request import RequestStep
from steps.sdk import Join, StepTypeEnum
from steps.shapes import ModelFolder, Request, Value


def register(
    name: str,
    env: Environment,
    registration: Registration,
    model: Job,
    scores: Job,
    approval: Any,
    metadata: Mapping[str, Any],
    description: str,
    *,
    encoder: Value,
    facts: Sequence[str] = ("labels",),
    accepts: Sequence[str] = (JSON,),
    answers: Sequence[str] = (JSON,),
    sources: Mapping[str, Any] | None = None,
) -> RequestStep:
    """A model version in the group: the artefact, the image that serves it, evaluation.json as its metrics.

    Its metadata are the run's: ``metadata``, literals and parameters; ``facts``, by name, and the encoder's name, hash and origin out
    of evaluation.json; and ``encoder``, the URI that the run was given. ``accepts`` and ``answers`` are the content types that the
    endpoint takes and gives. ``sources`` name folders in S3 that the artefact needs beside itself: an endpoint finds each below
    /opt/ml/additional-model-data-sources/, under its name.
    """
    container = {"Image": env.images.training, "ModelDataUrl": model.artefact}
    if sources:
        container["AdditionalModelDataSources"] = [_source(key, uri) for key, uri in sources.items()]
    instances = list(registration.instance_types)
    statistics = {
        "ContentType": JSON,
        "S3Uri": Join(on="/", values=[scores["evaluation"], "evaluation.json"]),
    }
    request: Request = {
        "ModelPackageGroupName": registration.group,
        "ModelPackageDescription": description,
        "ModelApprovalStatus": approval,
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": list(accepts),
            "SupportedResponseMIMETypes": list(answers),
            "SupportedRealtimeInferenceInstanceTypes": instances,
            # Batch transform takes no model data but the archive.
            **({} if sources else {"SupportedTransformInstanceTypes": instances}),
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
            # What an endpoint of this version answers as model_version.
            "model_version": scores.value("pathology.model.version"),
        },
    }
    return RequestStep(name, StepTypeEnum.REGISTER_MODEL, request, description=description)


def _source(name: str, uri: Value) -> ModelFolder:
    """A folder as it lies in S3; the service knows a prefix by the slash at its end."""
    data = {"S3Uri": Join(on="", values=[uri, "/"]), "S3DataType": "S3Prefix", "CompressionType": "None"}
    return {"ChannelName": name, "S3DataSource": data}
