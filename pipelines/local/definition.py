"""What of a definition runs here. Whatever does not is refused by name before anything starts, never skipped in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.checks.expressions import all_steps, references
from pipelines.checks.graph import graph_problems
from steps.shapes import Channel, ConditionDefinition, Definition, Request, StepDefinition, Value

VERSION = "2020-12-01"
ENTRY_POINT = "pathology-run"

_TOP = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"}
_STEP = {"Name", "Type", "DisplayName", "Description", "Arguments", "DependsOn", "CacheConfig", "RetryPolicies", "PropertyFiles"}
_EXPRESSIONS = {"Std:Join": {"On", "Values"}, "Std:JsonGet": {"PropertyFile", "Path"}}
_COMPARISONS = {"Equals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo"}
_CONDITIONS = _COMPARISONS | {"In", "Not", "Or"}
VARIABLES = frozenset(
    f"Execution.{name}"
    for name in ("CurrentDateTime", "PipelineArn", "PipelineExecutionArn", "PipelineExecutionId", "PipelineName", "StartDateTime")
)
_PARAMETERS = {"String", "Integer", "Float", "Boolean"}
_JOBS = {"Tags", "RoleArn", "Environment", "StoppingCondition", "ExperimentConfig"}
_ARGUMENTS = {
    "Processing": _JOBS
    | {"AppSpecification", "ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources", "NetworkConfig"},
    "Training": _JOBS
    | {
        "AlgorithmSpecification",
        "CheckpointConfig",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
        "EnableNetworkIsolation",
        "HyperParameters",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "VpcConfig",
    },
    "Condition": {"Conditions", "IfSteps", "ElseSteps"},
    "Fail": {"ErrorMessage"},
}
_NEEDED = {
    "Processing": {"AppSpecification", "ProcessingResources"},
    "Training": {"AlgorithmSpecification", "OutputDataConfig", "ResourceConfig"},
    "RegisterModel": {"ModelPackageGroupName"},
    "Condition": {"Conditions"},
    "Fail": {"ErrorMessage"},
}


def problems(definition: Definition) -> Iterator[tuple[str, str]]:
    """Pairs of step (or ``pipeline``) and what of it cannot run here; values that an execution decides are not looked at."""
    if definition.get("Version") != VERSION:
        yield "pipeline", f"Version {definition.get('Version')!r} is not {VERSION}"
    yield from (("pipeline", f"{key} is not known here") for key in sorted(set(definition) - _TOP))
    for parameter in definition["Parameters"]:
        if parameter["Type"] not in _PARAMETERS:
            yield "pipeline", f"parameter {parameter['Name']} is of type {parameter['Type']!r}, not one of {sorted(_PARAMETERS)}"
    yield from graph_problems(definition)
    for step in all_steps(definition):
        for problem in _step_problems(step):
            yield step["Name"], problem


def _step_problems(step: StepDefinition) -> Iterator[str]:
    arguments = step.get("Arguments", {})
    known = _ARGUMENTS.get(step["Type"])
    yield from (f"{key} is not known here" for key in sorted(set(step) - _STEP))
    yield from (f"{key} is not known here" for key in sorted(set(arguments) - known if known else ()))
    yield from (f"{key} is missing" for key in sorted(_NEEDED.get(step["Type"], set()) - set(arguments)))
    without_branches = {key: value for key, value in arguments.items() if key not in ("IfSteps", "ElseSteps")}
    yield from _expression_problems(without_branches)
    for target in references(without_branches):
        if target.startswith("Execution.") and target not in VARIABLES:
            yield f"{target} is not known here"
    for condition in arguments.get("Conditions", []) if step["Type"] == "Condition" else []:
        yield from _condition_problems(condition)
    if step["Type"] in ("Processing", "Training"):
        yield from job_problems(step["Type"], arguments)


def _expression_problems(node: Any) -> Iterator[str]:
    """Functions that are not known, and known ones with arguments that are not."""
    if isinstance(node, list):
        for item in node:
            yield from _expression_problems(item)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key.startswith("Std:"):
            if key not in _EXPRESSIONS:
                yield f"{key} is not known here, only {', '.join(_EXPRESSIONS)}"
            elif set(value) - _EXPRESSIONS[key]:
                yield f"{key} with {', '.join(sorted(set(value) - _EXPRESSIONS[key]))} is not known here"
        yield from _expression_problems(value)


def _condition_problems(condition: ConditionDefinition) -> Iterator[str]:
    if condition["Type"] not in _CONDITIONS:
        yield f"a condition of type {condition['Type']!r} is not one of {', '.join(sorted(_CONDITIONS))}"
    inner = [condition[key] for key in ("Expression", "Condition") if key in condition]
    for item in [*condition.get("Conditions", []), *inner]:
        yield from _condition_problems(item)


def job_problems(kind: str, request: Request) -> Iterator[str]:
    """What of a job's request cannot run here. Asked of the definition and again of the request with every value filled in."""
    specification = request.get("AppSpecification" if kind == "Processing" else "AlgorithmSpecification", {})
    entry = specification.get("ContainerEntrypoint")
    if entry != [ENTRY_POINT]:
        yield f"ContainerEntrypoint {entry} does not run here, only [{ENTRY_POINT!r}]"
    for item in request.get("ProcessingInputs", []):
        where = f"ProcessingInputs {item['InputName']!r}"
        if "S3Input" not in item:
            yield f"{where} is not a valid S3Input"
        else:
            yield from _s3_problems(where, item["S3Input"])
    for item in request.get("ProcessingOutputConfig", {}).get("Outputs", []):
        mode = item.get("S3Output", {}).get("S3UploadMode")
        if mode != "EndOfJob":
            yield f"Outputs {item['OutputName']!r}: S3UploadMode {mode!r} does not run here, only 'EndOfJob'"
    for item in request.get("InputDataConfig", []):
        yield from _channel_problems(item)


def _channel_problems(item: Channel) -> Iterator[str]:
    where = f"channel {item['ChannelName']!r}"
    source = item["DataSource"]
    if not {"S3DataSource", "FileSystemDataSource"} & set(source):
        yield f"{where}: {', '.join(source)} does not run here, only S3DataSource and FileSystemDataSource"
    yield from _s3_problems(where, {**source.get("S3DataSource", {}), "S3InputMode": item.get("InputMode", "File")})
    if _text(item.get("CompressionType", "None")) not in ("None", ""):
        yield f"{where}: CompressionType {item['CompressionType']!r} does not run here"


def _s3_problems(where: str, source: Mapping[str, Value]) -> Iterator[str]:
    """Only whole files below a prefix: no manifests, no pipes, nothing unpacked on the way."""
    allowed = {
        "S3DataType": ("S3Prefix",),
        "S3InputMode": ("File", "FastFile"),
        "S3DataDistributionType": ("FullyReplicated", "ShardedByS3Key"),
        "S3CompressionType": ("None",),
    }
    for key, values in allowed.items():
        text = _text(source.get(key, values[0]))
        if text and text not in values:
            yield f"{where}: {key} {text!r} does not run here, only {' or '.join(values)}"


def _text(value: Any) -> str:
    """A literal value, and nothing for what only an execution knows."""
    return value if isinstance(value, str) else ""
