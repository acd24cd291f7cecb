"""Whether Pipelines takes what the definitions have: one is made of every kind of step and field in use, and deleted at once.

Making a pipeline runs nothing and costs nothing. The service holds a definition against a model of its own, which nobody publishes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from pathology.contracts.refusals import is_missing

from pipelines.service.errors import explain, is_taken
from pipelines.service.health.lines import Line, ok, problem
from pipelines.service.health.subject import code_of
from steps.environment import Environment
from steps.shapes import Definition, StepDefinition

NAME = "pathology-probe"
_REPORT = "ProbeReport"
_UNKNOWN = re.compile(r"[Uu]nknown \w+ member '(?P<member>\w+)'")
_CHECK = "probe"
_MOST_MEMBERS = 20


def probe(sagemaker: Any, env: Environment, definitions: Mapping[str, Definition]) -> list[Line]:
    """Whether the service takes all of it; where it does not, what of it: definitions by task, then the uses of JsonGet, each alone.

    Raises:
        ClientError: for a refusal that is not of the definition, such as a permission that lacks, or where deleting failed.
    """
    uses = json_get_steps(env)
    if refusal(sagemaker, env, everything(env, definitions)) is None:
        taken = [*(f"the definition of {task}" for task in definitions), *(f"JsonGet in {use}" for use in uses)]
        return [ok(_CHECK, f"{what}: Pipelines takes it") for what in taken]
    lines: list[Line] = []
    for task, definition in definitions.items():
        lines += _of_definition(sagemaker, env, task, definition)
    for use, step in uses.items():
        said = refusal(sagemaker, env, _around([_report(env), step]))
        lines.append(
            problem(_CHECK, f"JsonGet in {use} is refused: {said}")
            if said
            else ok(_CHECK, f"JsonGet in {use}: Pipelines takes it")
        )
    if all(line.state == "ok" for line in lines):
        lines.append(
            problem(_CHECK, "Pipelines takes each part alone and not all together: look at the size and the number of steps")
        )
    return lines


def everything(env: Environment, definitions: Mapping[str, Definition]) -> Definition:
    """One definition of all tasks' steps and parameters and of every use of JsonGet."""
    parameters = {parameter["Name"]: parameter for one in definitions.values() for parameter in one["Parameters"]}
    steps = [step for one in definitions.values() for step in one["Steps"]]
    whole = _around([*steps, _report(env), *json_get_steps(env).values()])
    whole["Parameters"] = list(parameters.values())
    return whole


def json_get_steps(env: Environment) -> dict[str, StepDefinition]:
    """By the place where it stands, a step with a value out of another step's report."""
    value = {"Std:JsonGet": {"PropertyFile": {"Get": f"Steps.{_REPORT}.PropertyFiles.{_REPORT}"}, "Path": "probe.uri"}}
    joined = {"Std:Join": {"On": "/", "Values": [value, "probe.json"]}}
    return {
        "a Processing S3Uri": _processing(env, "ProbeProcessingUri", value),
        "a Training S3Uri": _training(env, "ProbeTrainingUri", value),
        "HyperParameters": _training(env, "ProbeHyperParameters", hyperparameter=value),
        "Environment": _processing(env, "ProbeEnvironment", variable=value),
        "a Join in a Processing S3Uri": _processing(env, "ProbeProcessingJoin", joined),
        "a Join in a Training S3Uri": _training(env, "ProbeTrainingJoin", joined),
    }


def refusal(sagemaker: Any, env: Environment, definition: Definition) -> str | None:
    """What the service has against a definition, None where it takes it. The pipeline is deleted in either case.

    Raises:
        ClientError: for a refusal that is not of the definition, or where deleting failed.
    """
    request = {
        "PipelineName": NAME,
        "PipelineDescription": "Asks whether the service takes a definition; may be deleted at any time.",
        "PipelineDefinition": json.dumps(definition, separators=(",", ":"), ensure_ascii=False),
        "RoleArn": env.pipeline_role,
        "Tags": env.tag_list,
    }
    try:
        _create(sagemaker, request)
    except ClientError as error:
        if code_of(error) not in ("ValidationException", "ValidationError"):
            raise
        return explain(error)
    sagemaker.delete_pipeline(PipelineName=NAME)
    return None


def _create(sagemaker: Any, request: dict[str, Any]) -> None:
    """Make the pipeline; one of that name was left by a probe that was cut off."""
    try:
        sagemaker.create_pipeline(**request)
    except ClientError as error:
        if not is_taken(error):
            raise
        try:
            sagemaker.delete_pipeline(PipelineName=NAME)
        except ClientError as gone:
            if not is_missing(gone):
                raise
        sagemaker.create_pipeline(**request)


def _of_definition(sagemaker: Any, env: Environment, task: str, definition: Definition) -> list[Line]:
    """A line for each member that the service does not know, which is then left out, until it takes the rest or says something else."""
    lines: list[Line] = []
    for _ in range(_MOST_MEMBERS):
        said = refusal(sagemaker, env, definition)
        if said is None:
            return [*lines, ok(_CHECK, f"the {'rest of the ' if lines else ''}definition of {task}: Pipelines takes it")]
        member = _UNKNOWN.search(said)
        if member is None:
            return [*lines, problem(_CHECK, f"the definition of {task} is refused: {said}")]
        lines.append(problem(_CHECK, f"{task}: {member['member']} is refused: {said}"))
        shorter = _without(definition, member["member"])
        if shorter == definition:
            return lines
        definition = shorter
    return lines


def _without(node: Any, member: str) -> Any:
    if isinstance(node, dict):
        return {key: _without(value, member) for key, value in node.items() if key != member}
    return [_without(value, member) for value in node] if isinstance(node, list) else node


def _around(steps: list[StepDefinition]) -> Definition:
    return {"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps}


def _report(env: Environment) -> StepDefinition:
    """A step that leaves the report which the others read."""
    step = _processing(env, _REPORT)
    output = {"S3Uri": f"s3://{env.bucket}/probe", "LocalPath": "/opt/ml/processing/output/report", "S3UploadMode": "EndOfJob"}
    step["Arguments"]["ProcessingOutputConfig"] = {"Outputs": [{"OutputName": "report", "S3Output": output}]}
    step["PropertyFiles"] = [{"PropertyFileName": _REPORT, "OutputName": "report", "FilePath": "report.json"}]
    return step


def _processing(env: Environment, name: str, uri: Any = None, variable: Any = "1") -> StepDefinition:
    source = {
        "S3Uri": uri or f"s3://{env.bucket}/probe",
        "LocalPath": "/opt/ml/processing/input/probe",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    request = {
        "AppSpecification": {"ImageUri": env.images.training},
        "Environment": {"PROBE": variable},
        "ProcessingInputs": [{"InputName": "probe", "S3Input": source}],
        "ProcessingResources": {"ClusterConfig": _cluster()},
        "RoleArn": env.job_role,
    }
    return {"Name": name, "Type": "Processing", "Arguments": request}


def _training(env: Environment, name: str, uri: Any = None, hyperparameter: Any = "1") -> StepDefinition:
    """With a channel that streams, which a definition has where training reads S3."""
    source = {"S3Uri": uri or f"s3://{env.bucket}/probe", "S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated"}
    request = {
        "AlgorithmSpecification": {"TrainingImage": env.images.training, "TrainingInputMode": "File"},
        "HyperParameters": {"probe": hyperparameter},
        "InputDataConfig": [{"ChannelName": "probe", "DataSource": {"S3DataSource": source}, "InputMode": "FastFile"}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{env.bucket}/probe"},
        "ResourceConfig": _cluster(),
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "RoleArn": env.job_role,
    }
    return {"Name": name, "Type": "Training", "Arguments": request}


def _cluster() -> dict[str, Any]:
    return {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
