"""Processing and Training steps: a command of ``pathology``, its image, inputs, outputs and hyperparameters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pathology.contracts.code import Code, command_code
from pathology.contracts.prepared import PREPARED
from pathology.contracts.runs import RUNS
from pathology.contracts.settings import as_string, variable_of

from steps.environment import Environment, Resources, TrainingResources, has_local_storage
from steps.placement import Source, channel, processing_input
from steps.request import CACHED, RequestStep
from steps.sdk import (
    ExecutionVariables,
    Join,
    JsonGet,
    ParameterFloat,
    ParameterInteger,
    ParameterString,
    PropertyFile,
    StepTypeEnum,
)
from steps.shapes import Cluster, ProcessingOutput, Request, Value

ENTRY_POINT = ["pathology-run"]
CHECKPOINTS = "checkpoints"
"""Where spot trainings keep theirs in the bucket, from where the infrastructure's lifecycle rule clears them."""
TORCHRUN = {"PATHOLOGY_TORCHRUN": "true"}
"""Lets ``pathology-run`` start the command in a process for every GPU of every host. A variable and no argument: a job's only
argument is its command, and the variables of a request are part of its cache key just as well."""


@cache
def code_of(command: str) -> Code:
    """The modules that a command runs, read once a process."""
    return command_code(command)


def code_uri(env: Environment, command: str) -> str:
    """Where the command's code lies, named by its content."""
    return f"s3://{env.bucket}/code/{code_of(command).hash}.tar.gz"


def run_folder(env: Environment, *below: str) -> Join:
    """``s3://bucket/runs/<pipeline>/<execution id>/<below…>``: outputs of one execution, never an input's key by itself."""
    variables = [ExecutionVariables.PIPELINE_NAME, ExecutionVariables.PIPELINE_EXECUTION_ID]
    return Join(on="/", values=[f"s3://{env.bucket}/{RUNS}", *variables, *below])


def prepared_root(env: Environment, task: str) -> str:
    """``s3://bucket/prepared/<task>``: what a task's Prepare step hands on, in folders named by their content."""
    return f"s3://{env.bucket}/{PREPARED}/{task}"


@dataclass(frozen=True)
class Job:
    """A job step and what later steps may ask of it: ``job["cohort"]`` is the URI of an output."""

    step: RequestStep
    command: str
    report: PropertyFile | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, output: str) -> Any:
        if output not in self.outputs:
            raise KeyError(f"{self.step.name} has no output {output!r}")
        return self.step.properties.ProcessingOutputConfig.Outputs[output].S3Output.S3Uri

    def value(self, path: str) -> JsonGet:
        """A value in the step's JSON report, known when the step has ended."""
        return JsonGet(step_name=self.step.name, property_file=self.report, json_path=path)

    @property
    def artefact(self) -> Any:
        """Where a Training job's model.tar.gz lies."""
        return self.step.properties.ModelArtifacts.S3ModelArtifacts


def _values(hyperparameters: Mapping[str, Any]) -> dict[str, Value]:
    """Hyperparameters as the service takes them: strings, or variables that resolve to strings."""
    return {name: value.to_string() if hasattr(value, "expr") else as_string(value) for name, value in hyperparameters.items()}


def processing(
    name: str,
    env: Environment,
    command: str,
    resources: Resources,
    *,
    image: str | None = None,
    instance_type: Value = None,
    instance_count: Value = None,
    inputs: Mapping[str, Source],
    outputs: Sequence[str] = (),
    report: tuple[str, str] | None = None,
    hyperparameters: Mapping[str, Any],
    environment: Mapping[str, Any] | None = None,
    cached: bool,
    after: Sequence[Job] = (),
    description: str,
) -> Job:
    """A Processing step that runs ``pathology-run <command>``, on the training image unless another is given.

    ``instance_type`` and ``instance_count`` are pipeline parameters where a person may change them per run.
    ``report`` names an output and a JSON file in it that later steps read values from. ``environment`` adds to the cache key
    what no input shows.
    """
    where = {output: run_folder(env, name, output) for output in outputs}
    variables = {variable_of(key): value for key, value in _values(hyperparameters).items()}
    request: Request = {
        "AppSpecification": {
            "ImageUri": image or env.images.training,
            "ContainerEntrypoint": ENTRY_POINT,
            "ContainerArguments": [command],
        },
        "Environment": {**_region(env), **variables, **(environment or {})},
        "ProcessingInputs": [
            processing_input(name, key, source) for key, source in {"code": code_uri(env, command), **inputs}.items()
        ],
        "ProcessingResources": {"ClusterConfig": _cluster(env, resources, instance_type, instance_count)},
        "StoppingCondition": {"MaxRuntimeInSeconds": resources.max_runtime_minutes * 60},
        "NetworkConfig": {"VpcConfig": _vpc(env)},
        "RoleArn": env.job_role,
        "Tags": env.tag_list,
    }
    if outputs:
        request["ProcessingOutputConfig"] = {"Outputs": [_output(key, uri) for key, uri in where.items()], **_output_key(env)}
    file = PropertyFile(name=f"{name}Report", output_name=report[0], path=report[1]) if report else None
    step = RequestStep(
        name,
        StepTypeEnum.PROCESSING,
        request,
        cache=CACHED if cached else None,
        property_files=[file] if file else (),
        after=[job.step for job in after],
        description=description,
    )
    return Job(step, command, file, {key: key for key in outputs})


def training(
    name: str,
    env: Environment,
    command: str,
    resources: TrainingResources,
    *,
    image: str | None = None,
    instance_type: Value = None,
    instance_count: Value = None,
    channels: Mapping[str, Source],
    streamed: Sequence[str] = (),
    hyperparameters: Mapping[str, Any],
    metrics: Sequence[Mapping[str, str]] = (),
    distributed: bool = False,
    cached: bool,
    after: Sequence[Job] = (),
    description: str,
) -> Job:
    """A Training step that runs ``pathology-run <command>``; spot and its checkpoints by ``resources``.

    A ``distributed`` command runs under torchrun where the job has several GPUs or hosts; any other is one process a host.
    """
    algorithm: dict[str, Any] = {
        "TrainingImage": image or env.images.training,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ENTRY_POINT,
        "ContainerArguments": [command],
    }
    if metrics:
        algorithm["MetricDefinitions"] = [dict(metric) for metric in metrics]
    stopping = {"MaxRuntimeInSeconds": resources.max_runtime_minutes * 60}
    request: Request = {
        "AlgorithmSpecification": algorithm,
        "Environment": {**_region(env), **(TORCHRUN if distributed else {})},
        "HyperParameters": _values(hyperparameters),
        "InputDataConfig": [
            channel(key, source, stream=key in streamed) for key, source in {"code": code_uri(env, command), **channels}.items()
        ],
        "OutputDataConfig": {"S3OutputPath": run_folder(env, name), **_output_key(env)},
        "ResourceConfig": _cluster(env, resources, instance_type, instance_count),
        "StoppingCondition": stopping,
        "VpcConfig": _vpc(env),
        "RoleArn": env.job_role,
        "Tags": env.tag_list,
    }
    if resources.spot:
        request["EnableManagedSpotTraining"] = True
        stopping["MaxWaitTimeInSeconds"] = max(resources.max_wait_minutes, resources.max_runtime_minutes) * 60
        request["CheckpointConfig"] = {"S3Uri": _checkpoints(env, name, request, hyperparameters)}
    step = RequestStep(
        name,
        StepTypeEnum.TRAINING,
        request,
        cache=CACHED if cached else None,
        after=[job.step for job in after],
        description=description,
    )
    return Job(step, command)


def _region(env: Environment) -> dict[str, str]:
    """Where a job's own calls go. boto3 reads the second name alone, other tools the first; nobody documents that jobs have either."""
    return {"AWS_REGION": env.region, "AWS_DEFAULT_REGION": env.region}


def _checkpoints(env: Environment, name: str, request: Request, hyperparameters: Mapping[str, Any]) -> Value:
    """``s3://bucket/checkpoints/<step>/<parameters…>/known-<hash>``: what the service restores, whole, into every job of the step.

    The hash is of what is known now and in the step's cache key anyway: code, channels, image, fixed values. It stands last, so
    that no other prefix begins with this one, as ``…/1`` does ``…/10``. Parameters that are numbers or of a list stand before it:
    a value that breaks the URI is one that the job refuses. Free text and what Prepare hands on are left to the keys inside.
    """
    parts = [request[part] for part in ("AlgorithmSpecification", "Environment", "HyperParameters", "InputDataConfig")]
    known = json.dumps(parts, sort_keys=True, default=lambda variable: variable.expr)
    digest = f"known-{hashlib.sha256(known.encode()).hexdigest()[:16]}"
    values = [value for _, value in sorted(hyperparameters.items(), key=lambda item: item[0]) if _bounded(value)]
    root = f"s3://{env.bucket}/{CHECKPOINTS}/{name}"
    return Join(on="/", values=[root, *values, digest]) if values else f"{root}/{digest}"


def _bounded(value: Any) -> bool:
    """Whether it is a parameter that takes numbers alone, or one of some words."""
    if isinstance(value, ParameterString):
        return bool(value.enum_values)
    return isinstance(value, ParameterInteger | ParameterFloat)


def _output(name: str, uri: Value) -> ProcessingOutput:
    local = f"/opt/ml/processing/output/{name}"
    return {"OutputName": name, "S3Output": {"S3Uri": uri, "LocalPath": local, "S3UploadMode": "EndOfJob"}}


def _vpc(env: Environment) -> dict[str, list[str]]:
    return {"SecurityGroupIds": list(env.network.security_groups), "Subnets": list(env.network.subnets)}


def _cluster(env: Environment, resources: Resources, instance_type: Value, instance_count: Value) -> Cluster:
    """The instances of a job: a run's parameters where it has them, else the task's own."""
    cluster: Cluster = {
        "InstanceType": resources.instance_type if instance_type is None else instance_type,
        "InstanceCount": resources.instance_count if instance_count is None else instance_count,
        "VolumeSizeInGB": resources.volume_gb,
    }
    if env.kms_key and not has_local_storage(resources.instance_type):
        cluster["VolumeKmsKeyId"] = env.kms_key
    return cluster


def _output_key(env: Environment) -> dict[str, str]:
    return {"KmsKeyId": env.kms_key} if env.kms_key else {}
