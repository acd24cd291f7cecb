"""What deploying a version asks of the service: the requests, made of the version, the task's YAML and the environment alone."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from pathology.contracts.errors import RequestError
from pathology.contracts.registry import registry_text

from pipelines.checks.shapes import request_faults
from pipelines.service.version import Version
from pipelines.tasks import task_spec
from pipelines.tasks.endpoint import Endpoint
from pipelines.tasks.sections import Task
from steps.environment import Environment, has_local_storage
from steps.shapes import Request

VARIANT = "all"
"""The one variant of every endpoint."""
ENCODER_CHANNEL = "encoder"
"""Where the code of a model looks for the encoder: /opt/ml/additional-model-data-sources/encoder."""
TASK, VERSION, BY, UNAPPROVED = "task", "model-package", "deployed-by", "unapproved"
"""Keys of an endpoint's tags."""
NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_SUFFIX = 16
"""Characters behind an endpoint's name in those of its model and configuration: -v, a number, and a hash."""
MAX_NAME = 63 - _SUFFIX
_SECONDS = 60
MIN_DEPLOYMENT, MAX_DEPLOYMENT = 600, 28800
"""Seconds that an update may take at all (BlueGreenUpdatePolicy, MaximumExecutionTimeoutInSeconds)."""


@dataclass(frozen=True)
class Scaling:
    """How the number of hosts follows the load (Application Auto Scaling)."""

    target: Request
    policy: Request


@dataclass(frozen=True)
class Plan:
    """The requests that make a version an endpoint. Model and configuration are named by their content: the same version with the same
    settings has the same names."""

    task: str
    endpoint: str
    version: Version
    model: Request
    config: Request
    deployment: Request
    tags: dict[str, str]
    alarm: Request | None
    scaling: Scaling | None

    @property
    def model_name(self) -> str:
        """The model's name."""
        return str(self.model["ModelName"])

    @property
    def config_name(self) -> str:
        """The configuration's name."""
        return str(self.config["EndpointConfigName"])

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """The endpoint's tags as the service takes them."""
        return tag_list(self.tags)

    @property
    def create(self) -> Request:
        """CreateEndpoint."""
        return {"EndpointName": self.endpoint, "EndpointConfigName": self.config_name, "Tags": self.tag_list}

    @property
    def update(self) -> Request:
        """UpdateEndpoint; where the number of hosts follows the load, it stays what the load made it."""
        kept = {
            "RetainAllVariantProperties": True,
            "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DataCaptureConfig"}],
        }
        return {
            "EndpointName": self.endpoint,
            "EndpointConfigName": self.config_name,
            **(kept if self.scaling else {}),
            "DeploymentConfig": self.deployment,
        }

    def requests(self, *, exists: bool) -> list[tuple[str, Request]]:
        """Operations and requests in their order, for an endpoint that ``exists`` or is new."""
        last = ("UpdateEndpoint", self.update) if exists else ("CreateEndpoint", self.create)
        return [("CreateModel", self.model), ("CreateEndpointConfig", self.config), last]


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as the service takes them, sorted."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def endpoint_name(settings: Task, given: str | None) -> str:
    """The endpoint's name: as ``given``, else as the task's group.

    Raises:
        RequestError: for one that the service does not take, or that leaves no room for the names of its models.
    """
    name = given or settings.register_as.group
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise RequestError(f"--name {name!r}: letters, digits and single hyphens, {MAX_NAME} characters at most")
    return name


def plan(env: Environment, task: str, settings: Task, version: Version, name: str, by: str, unapproved: bool) -> Plan:
    """The requests. ``by`` deploys it, ``unapproved`` was allowed by name.

    Raises:
        RequestError: when the service would refuse one of them.
    """
    endpoint, instance_type = settings.endpoint, settings.endpoint_instance_type
    tags = {**env.tags, TASK: task, VERSION: version.arn, BY: registry_text(by)}
    if unapproved:
        tags[UNAPPROVED] = registry_text(f"{version.status} and allowed by {by}")
    model = _model(env, task, version)
    model_name = f"{name}-v{version.number}-{_short(model)}"
    config = _config(env, endpoint, instance_type, model_name, name)
    alarm = _alarm(name, endpoint) if endpoint.errors_alarm and not env.local else None
    found = Plan(
        task=task,
        endpoint=name,
        version=version,
        model={"ModelName": model_name, **model, "Tags": tag_list(tags)},
        config={"EndpointConfigName": f"{name}-v{version.number}-{_short(config)}", **config, "Tags": tag_list(tags)},
        deployment=_deployment(endpoint, alarm),
        tags=tags,
        alarm=alarm,
        scaling=_scaling(name, endpoint) if endpoint.max_instances and not env.local else None,
    )
    for operation, request in (*found.requests(exists=False), *found.requests(exists=True)):
        faults = request_faults(operation, request)
        if faults:
            raise RequestError(f"{operation} would be refused: {'; '.join(faults)}")
    return found


def _short(request: Request) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:8]


def _model(env: Environment, task: str, version: Version) -> Request:
    """The version's image and archive, and the encoder beside it where the task's code runs it."""
    containers = version.described.get("InferenceSpecification", {}).get("Containers", [])
    if len(containers) != 1 or not version.artefact:
        raise RequestError(
            f"version {version.number} names {len(containers)} containers with a model, and an endpoint is made of one"
        )
    archive = {"S3Uri": version.artefact, "S3DataType": "S3Object", "CompressionType": "Gzip"}
    container: dict[str, Any] = {"Image": containers[0]["Image"], "ModelDataSource": {"S3DataSource": archive}}
    if task_spec(task).hosted.encoder:
        folder = encoder_uri(version).rstrip("/") + "/"  # a prefix ends with a slash, or h-optimus-0 would take h-optimus-0-b too
        source = {"S3Uri": folder, "S3DataType": "S3Prefix", "CompressionType": "None"}
        container["AdditionalModelDataSources"] = [{"ChannelName": ENCODER_CHANNEL, "S3DataSource": source}]
    network = {"Subnets": list(env.network.subnets), "SecurityGroupIds": list(env.network.security_groups)}
    return {"PrimaryContainer": container, "ExecutionRoleArn": env.job_role, "VpcConfig": network}


def encoder_uri(version: Version) -> str:
    """The folder of the encoder that a version names.

    Raises:
        RequestError: when it names none.
    """
    uri = version.metadata.get("encoder_uri")
    if not uri:
        raise RequestError(f"version {version.number} does not name its encoder's folder (encoder_uri): register it again")
    return uri


def _config(env: Environment, endpoint: Endpoint, instance_type: str, model: str, name: str) -> Request:
    variant: Request = {
        "VariantName": VARIANT,
        "ModelName": model,
        "InstanceType": instance_type,
        "InitialInstanceCount": endpoint.instance_count,
        "ModelDataDownloadTimeoutInSeconds": endpoint.download_minutes * _SECONDS,
        "ContainerStartupHealthCheckTimeoutInSeconds": endpoint.startup_minutes * _SECONDS,
        **({"InferenceAmiVersion": endpoint.ami} if endpoint.ami else {}),
    }
    config: Request = {"ProductionVariants": [variant]}
    if env.kms_key and not has_local_storage(instance_type):  # a disk of its own takes no key, and encrypts itself
        config["KmsKeyId"] = env.kms_key
    if endpoint.capture_percent:
        config["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": endpoint.capture_percent,
            "DestinationS3Uri": f"s3://{env.bucket}/captured/{name}",
            **({"KmsKeyId": env.kms_key} if env.kms_key else {}),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        }
    return config


def _deployment(endpoint: Endpoint, alarm: Request | None) -> Request:
    """Blue/green with automatic rollback (SageMaker developer guide, "Blue/Green Deployments" and "Auto-Rollback Configuration")."""
    bake = endpoint.bake_minutes * _SECONDS
    routing: Request = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": bake}
    if endpoint.canary_percent:
        size = {"Type": "CAPACITY_PERCENT", "Value": endpoint.canary_percent}
        routing = {"Type": "CANARY", "WaitIntervalInSeconds": bake, "CanarySize": size}
    longest = 3 * bake + 2 * (endpoint.download_minutes + endpoint.startup_minutes) * _SECONDS
    names = [*([alarm["AlarmName"]] if alarm else []), *endpoint.alarms]
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": bake,
            "MaximumExecutionTimeoutInSeconds": min(max(longest, MIN_DEPLOYMENT), MAX_DEPLOYMENT),
        },
        **({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in names]}} if names else {}),
    }


def alarm_name(endpoint: str) -> str:
    """Of the alarm that deploy makes of an endpoint's errors."""
    return f"{endpoint}-errors"


def _alarm(name: str, endpoint: Endpoint) -> Request:
    """PutMetricAlarm on what the model answered with 5xx (SageMaker developer guide, "Endpoint invocation metrics")."""
    return {
        "AlarmName": alarm_name(name),
        "AlarmDescription": f"Answers of endpoint {name} with 5xx: an update is rolled back while it is on.",
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Dimensions": [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": VARIANT}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": float(endpoint.errors_alarm),
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }


def scalable(name: str) -> Request:
    """What Application Auto Scaling calls an endpoint's hosts."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def _scaling(name: str, endpoint: Endpoint) -> Scaling:
    """RegisterScalableTarget and PutScalingPolicy (SageMaker developer guide, "Define a scaling policy")."""
    tracked = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    return Scaling(
        {**scalable(name), "MinCapacity": endpoint.instance_count, "MaxCapacity": endpoint.max_instances},
        {
            **scalable(name),
            "PolicyName": f"{name}-invocations",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": float(endpoint.invocations_per_minute),
                "PredefinedMetricSpecification": tracked,
            },
        },
    )
