"""The service's limits, and rules between fields that no shape shows (SageMaker developer guide; quotas as of 2026-11)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import regex

from pipelines.checks.expressions import all_steps, is_expression
from steps.shapes import Definition, MetricDefinition, Request, StepDefinition

VERSION = "2020-12-01"
MAX_CHARACTERS = 1_048_576
MAX_PARAMETERS = 200
MAX_INPUTS, MAX_OUTPUTS = 10, 10
MAX_CHANNELS, MAX_HYPERPARAMETERS, MAX_METRICS = 20, 100, 40
MAX_STEPS = 50
MAX_TRAINING_SECONDS = 28 * 24 * 3600
_PROCESSING = "/opt/ml/processing/"
_STEP_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,63}")
_PIPELINE_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,255}")


def limit_problems(name: str, definition: Definition) -> Iterator[tuple[str, str]]:
    """Pairs of step (or the pipeline's name) and fault."""
    if not _PIPELINE_NAME.fullmatch(name):
        yield name, "a pipeline's name has letters, digits and single hyphens, no underscore"
    if definition.get("Version") != VERSION:
        yield name, f"the definition's Version is {definition.get('Version')!r}: the service has {VERSION} alone"
    size = len(json.dumps(definition, separators=(",", ":"), ensure_ascii=False))
    if size > MAX_CHARACTERS:
        yield name, f"the definition has {size} characters, over the service's {MAX_CHARACTERS}"
    if len(definition["Parameters"]) > MAX_PARAMETERS:
        yield name, f"{len(definition['Parameters'])} parameters, over the service's {MAX_PARAMETERS}"
    for parameter in definition["Parameters"]:
        if parameter.get("DefaultValue") is None:
            yield name, f"parameter {parameter['Name']} has no default: a run started with none given would fail"
        elif len(str(parameter["DefaultValue"])) > 1024:
            yield name, f"parameter {parameter['Name']} is over 1024 characters"
    steps = list(all_steps(definition))
    if len(steps) > MAX_STEPS:
        yield name, f"{len(steps)} steps, over the service's {MAX_STEPS}"
    for step in steps:
        yield from ((step["Name"], fault) for fault in _step(step))


def _over(items: Any, limit: int, what: str) -> Iterator[str]:
    if len(items or []) > limit:
        yield f"{len(items)} {what}, over the service's {limit}"


def _step(step: StepDefinition) -> Iterator[str]:
    arguments = step.get("Arguments", {})
    if not _STEP_NAME.fullmatch(step["Name"]):
        yield "a step's name has at most 64 letters, digits and single hyphens"
    if step["Type"] == "Processing":
        yield from _over(arguments.get("ProcessingInputs"), MAX_INPUTS, "inputs")
        yield from _over(arguments.get("ProcessingOutputConfig", {}).get("Outputs"), MAX_OUTPUTS, "outputs")
        yield from _image(arguments.get("AppSpecification", {}).get("ImageUri"))
        yield from _local_paths(arguments)
        yield from _sources(arguments.get("ProcessingInputs", []), "InputName", ("S3Input", "DatasetDefinition"))
        outputs = arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])
        yield from _sources(outputs, "OutputName", ("S3Output", "FeatureStoreOutput"))
        for value in arguments.get("ProcessingInputs", []):
            uri = value.get("S3Input", {}).get("S3Uri")
            if isinstance(uri, str) and not uri.startswith("s3://"):
                yield f"input {value.get('InputName')} is {uri}: a Processing job reads s3:// only and cannot mount EFS"
    elif step["Type"] == "Training":
        yield from _training(arguments)
    elif step["Type"] == "RegisterModel":
        for container in arguments.get("InferenceSpecification", {}).get("Containers", []):
            yield from _image(container.get("Image"))


def _training(arguments: Request) -> Iterator[str]:
    algorithm = arguments.get("AlgorithmSpecification", {})
    channels = arguments.get("InputDataConfig", [])
    yield from _over(channels, MAX_CHANNELS, "channels")
    yield from _sources(channels, "ChannelName", ("S3DataSource", "FileSystemDataSource"), "DataSource")
    yield from _over(arguments.get("HyperParameters"), MAX_HYPERPARAMETERS, "hyperparameters")
    yield from _over(algorithm.get("MetricDefinitions"), MAX_METRICS, "metric definitions")
    yield from _image(algorithm.get("TrainingImage"))
    yield from _metrics(algorithm.get("MetricDefinitions", []))
    if any("FileSystemDataSource" in value.get("DataSource", {}) for value in channels) and not arguments.get("VpcConfig"):
        yield "a channel on a file system needs VpcConfig"
    for value in channels:
        folder = value.get("DataSource", {}).get("FileSystemDataSource", {}).get("DirectoryPath", "/")
        if isinstance(folder, str) and not folder.startswith("/"):
            yield f"channel {value.get('ChannelName')} mounts {folder}: a folder of a file system begins with a slash"
    if arguments.get("ResourceConfig", {}).get("InstanceCount") == 0:
        yield "ResourceConfig.InstanceCount is 0: a job needs an instance"
    spot = arguments.get("EnableManagedSpotTraining", False)
    stopping = arguments.get("StoppingCondition", {})
    max_runtime, wait = stopping.get("MaxRuntimeInSeconds"), stopping.get("MaxWaitTimeInSeconds")
    if isinstance(max_runtime, int) and max_runtime > MAX_TRAINING_SECONDS:
        yield f"StoppingCondition.MaxRuntimeInSeconds: {max_runtime} is over the service's {MAX_TRAINING_SECONDS}"
    if spot and (wait is None or max_runtime is None or wait < max_runtime):
        yield "spot training needs MaxWaitTimeInSeconds of at least MaxRuntimeInSeconds"
    if wait is not None and not spot:
        yield "MaxWaitTimeInSeconds goes with spot training only"
    if spot and "CheckpointConfig" not in arguments:
        yield "spot training without CheckpointConfig starts from nothing after every interruption"
    if spot and arguments.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds"):
        yield "warm pools and spot training exclude each other"
    fixed = (
        ("StoppingCondition.MaxRuntimeInSeconds", max_runtime),
        ("ResourceConfig.VolumeSizeInGB", arguments.get("ResourceConfig", {}).get("VolumeSizeInGB")),
        ("EnableManagedSpotTraining", spot),
        ("RoleArn", arguments.get("RoleArn")),
    )
    for where, value in fixed:
        if is_expression(value):
            yield f"{where} cannot be a pipeline variable"


def _sources(items: list[Any], name: str, kinds: tuple[str, str], within: str | None = None) -> Iterator[str]:
    """Of two places that an input or an output may have, it has one: the request's shape requires neither."""
    for item in items:
        given = [kind for kind in kinds if kind in (item.get(within, {}) if within else item)]
        if len(given) != 1:
            yield f"{item.get(name)} should have {kinds[0]} or {kinds[1]}, and has {' and '.join(given) or 'neither'}"


def _metrics(metrics: list[MetricDefinition]) -> Iterator[str]:
    for metric in metrics:
        try:
            regex.compile(metric["Regex"])
        except regex.error as error:
            yield f"metric {metric['Name']}: its Regex {metric['Regex']!r} is none: {error}"


def _image(image: Any) -> Iterator[str]:
    if isinstance(image, str) and "@sha256:" not in image:
        yield f"image {image}: name it by digest; a tag can change under a cached step"
    elif isinstance(image, str) and any(character.isspace() for character in image):
        yield f"image {image!r}: an image's name has no blanks"


def _local_paths(arguments: Request) -> Iterator[str]:
    """Where a Processing job finds inputs and leaves outputs (API reference, ProcessingS3Input)."""
    for item in (*arguments.get("ProcessingInputs", []), *arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])):
        path = (item.get("S3Input") or item.get("S3Output") or {}).get("LocalPath")
        if isinstance(path, str) and not path.startswith(_PROCESSING):
            yield f"{item.get('InputName') or item.get('OutputName')} lies in {path}: it has to be below {_PROCESSING}"
