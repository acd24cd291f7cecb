"""The members of parameters and steps that no request shape has: names, types, caching, retries, descriptions.

Limits are the developer guide's (https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching-enabling.html) and those of PipelineExecutionStep in the API reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipelines.checks.expressions import is_expression, references
from steps.shapes import Definition, ParameterDeclaration, RetryPolicy, StepDefinition

MAX_ATTEMPTS, MAX_INTERVAL_SECONDS, MAX_EXPIRE_MINUTES = 20, 43_200, 14_400
MAX_DESCRIPTION, MAX_DISPLAY_NAME, MAX_PARAMETER_NAME = 3072, 256, 256
JOBS = frozenset({"Processing", "Training"})
_JOB_EXCEPTIONS = frozenset({"SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"})
_EXCEPTIONS = frozenset({"Step.SERVICE_FAULT", "Step.THROTTLING", *_JOB_EXCEPTIONS})
_DURATION = re.compile(r"(?=.*\d)P?(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?", re.IGNORECASE)
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TYPES: dict[str, tuple[type, ...]] = {"String": (str,), "Integer": (int,), "Float": (int, float), "Boolean": (bool,)}
_MEMBERS: dict[str, type] = {
    "Name": str,
    "Type": str,
    "Arguments": dict,
    "DisplayName": str,
    "Description": str,
    "DependsOn": list,
    "PropertyFiles": list,
    "CacheConfig": dict,
    "RetryPolicies": list,
}
_KEY_PARTS = (
    "AppSpecification",
    "AlgorithmSpecification",
    "Environment",
    "HyperParameters",
    "ProcessingInputs",
    "InputDataConfig",
    "CheckpointConfig",
)
"""What of a job's request decides whether the cache answers (https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-caching.html)."""


def member_problems(step: StepDefinition) -> Iterator[str]:
    """Members of a wrong type, which the other checks could not read."""
    for key, value in step.items():
        if key not in _MEMBERS:
            yield f"a step has no member {key!r}: take it out"
        elif not isinstance(value, _MEMBERS[key]):
            yield f"{key} should be a {_MEMBERS[key].__name__}, not {value!r}"
    for key in ("Name", "Type", "Arguments"):
        if key not in step:
            yield f"{key} is missing"
    files: Any = step.get("PropertyFiles", [])
    for file in files if isinstance(files, list) else []:
        for key in ("PropertyFileName", "OutputName", "FilePath"):
            if not isinstance(file, dict) or not isinstance(file.get(key), str) or not file[key]:
                yield f"a property file has no {key}"
    if step.get("Type") == "Fail" and isinstance(step.get("Arguments"), dict):
        message = step["Arguments"].get("ErrorMessage")
        if not isinstance(message, str) and not is_expression(message):
            yield f"ErrorMessage should be text, not {message!r}"


def unreadable_parameters(definition: Definition) -> Iterator[tuple[str, str]]:
    """Pairs of parameter and fault: members missing or of a wrong type, which the other checks could not read."""
    for parameter in definition["Parameters"]:
        where = f"parameter {parameter.get('Name', 'without a name')}"
        for key in ("Name", "Type"):
            if not isinstance(parameter.get(key), str):
                yield where, f"{key} should be text, not {parameter.get(key)!r}"
        if not isinstance(parameter.get("EnumValues", []), list):
            yield where, f"EnumValues should be a list, not {parameter['EnumValues']!r}"


def parameter_problems(parameter: ParameterDeclaration) -> Iterator[str]:
    """What is wrong with a parameter's name, type and default, apart from its being missing."""
    name, kind, default = parameter["Name"], parameter["Type"], parameter.get("DefaultValue")
    if not _PARAMETER_NAME.fullmatch(name) or len(name) > MAX_PARAMETER_NAME:
        yield f"its name has letters, digits, hyphens and underscores, {MAX_PARAMETER_NAME} at most"
    if kind not in _TYPES:
        yield f"its type {kind!r} is not one of {', '.join(_TYPES)}"
    elif default is not None and (not isinstance(default, _TYPES[kind]) or (kind != "Boolean" and isinstance(default, bool))):
        yield f"its default {default!r} is not of type {kind}"
    choices = parameter.get("EnumValues")
    if choices and default is not None and default not in choices:
        yield f"its default {default!r} is not one of its EnumValues"


def form_problems(step: StepDefinition) -> Iterator[str]:
    """What is wrong with a step's descriptions, caching and retries; its members have the right types."""
    for key, limit in (("Description", MAX_DESCRIPTION), ("DisplayName", MAX_DISPLAY_NAME)):
        text = str(step.get(key, ""))
        if len(text) > limit:
            yield f"{key} has {len(text)} characters, over the service's {limit}"
        if "\n" in text or "\r" in text:
            yield f"{key} has several lines, and the service takes one"
    yield from _caching(step)
    for policy in step.get("RetryPolicies", []):
        yield from _retry(step, policy)


def _caching(step: StepDefinition) -> Iterator[str]:
    cache = step.get("CacheConfig")
    if cache is None:
        return
    if not isinstance(cache.get("Enabled"), bool):
        yield f"CacheConfig.Enabled should be true or false, not {cache.get('Enabled')!r}"
    expires = cache.get("ExpireAfter")
    if expires is not None and not (isinstance(expires, str) and _DURATION.fullmatch(expires)):
        yield f"CacheConfig.ExpireAfter: {expires!r} is no ISO 8601 duration, such as P30D or PT12H"
    if not cache.get("Enabled"):
        return
    if step["Type"] not in JOBS:
        yield f"a {step['Type']} step cannot be cached"
    for part in _KEY_PARTS:
        for target in references(step.get("Arguments", {}).get(part)):
            if target.startswith("Execution."):
                yield f"{part} names {target}, which differs in every execution, so that the cache never answers"


def _retry(step: StepDefinition, policy: RetryPolicy) -> Iterator[str]:
    if ("MaxAttempts" in policy) == ("ExpireAfterMin" in policy):
        yield "a retry policy has MaxAttempts or ExpireAfterMin, never both"
    attempts = policy.get("MaxAttempts", 1)
    if not _within(attempts, 1, MAX_ATTEMPTS):
        yield f"a retry policy tries {attempts} times, and the service takes 1 to {MAX_ATTEMPTS}"
    for key, value, limit in (
        ("IntervalSeconds", policy.get("IntervalSeconds", 1), MAX_INTERVAL_SECONDS),
        ("ExpireAfterMin", policy.get("ExpireAfterMin", 1), MAX_EXPIRE_MINUTES),
    ):
        if not _within(value, 1, limit):
            yield f"a retry policy's {key} is {value!r}, and the service takes 1 to {limit}"
    rate = policy.get("BackoffRate", 1.0)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
        yield f"a retry policy's BackoffRate is {rate!r}: it should be a number over 0"
    kinds = policy.get("ExceptionType")
    if not isinstance(kinds, list) or not kinds:
        yield "a retry policy names no ExceptionType"
        return
    unknown = [kind for kind in kinds if kind not in _EXCEPTIONS]
    if unknown:
        yield f"a retry policy is for {unknown[0]!r}, which is not one of {', '.join(sorted(_EXCEPTIONS))}"
    jobs = [kind for kind in kinds if kind in _JOB_EXCEPTIONS]
    if jobs and step["Type"] not in JOBS:
        yield f"{jobs[0]} is for jobs, not for a {step['Type']} step"
    if step["Type"] not in {*JOBS, "RegisterModel"}:
        yield f"a {step['Type']} step takes no retry policy"


def _within(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
