"""A step's arguments against botocore's model of the request: types, required members, enums, lengths, patterns."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import regex

from pipelines.checks.expressions import UnknownValueError, all_steps, is_expression, known, references
from steps.shapes import Definition, ParameterValues, Request, StepDefinition

OPERATIONS = {
    "Processing": ("CreateProcessingJob", {"ProcessingJobName": "job"}),
    "Training": ("CreateTrainingJob", {"TrainingJobName": "job"}),
    "RegisterModel": ("CreateModelPackage", {}),
}
_RESERVED = "aws:"
_NOT_EMPTY = {"CustomerMetadataKey": 128, "CustomerMetadataValue": 256}
"""Their lengths stand in their patterns, behind the ``$`` where they mean nothing."""


@cache
def service_model() -> Any:
    """botocore's model of SageMaker, from the installed package."""
    import botocore.session

    return botocore.session.get_session().get_service_model("sagemaker")


def request_faults(operation: str, request: Request) -> list[str]:
    """What the service would have against a request: members, types, lengths, enums, maxima, patterns."""
    shape = service_model().operation_model(operation).input_shape
    return [*_structure(request, shape), *_values(request, shape, "")]


def structure_problems(step: StepDefinition, parameters: ParameterValues) -> Iterator[str]:
    """What botocore's own validator has against the arguments: members missing or unknown, wrong types, too little."""
    request = _request(step, parameters)
    if request is not None:
        yield from _structure(*request)


def _structure(request: Request, shape: Any) -> Iterator[str]:
    from botocore.validate import ParamValidator

    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        for line in report.generate_report().splitlines():
            yield line.strip()


def value_problems(step: StepDefinition, parameters: ParameterValues) -> Iterator[str]:
    """What the request shape has against values of the arguments: enums, maxima, patterns. References have parameters' values."""
    request = _request(step, parameters)
    if request is not None:
        yield from _values(*request, "")


def request_problems(definition: Definition, parameters: ParameterValues) -> Iterator[tuple[str, str]]:
    """Pairs of step and fault: every request of the definition against its shape, with any values of the parameters.

    ``parameters`` has a value for every parameter, each in its parameter's type. A fault names the parameters that it comes from.
    """
    for step in all_steps(definition):
        for fault in (*structure_problems(step, parameters), *value_problems(step, parameters)):
            yield step["Name"], fault


def _request(step: StepDefinition, parameters: ParameterValues) -> tuple[Any, Any] | None:
    """The arguments filled in and their shape; None for a step that is no request."""
    if step["Type"] not in OPERATIONS:
        return None
    operation, named = OPERATIONS[step["Type"]]
    shape = service_model().operation_model(operation).input_shape
    return {**named, **_filled(step.get("Arguments", {}), shape, parameters)}, shape


def _filled(node: Any, shape: Any, parameters: ParameterValues) -> Any:
    """``node`` with every reference replaced: by its value where parameters tell it, else by a value of the shape's type."""
    if is_expression(node):
        try:
            value = known(node, parameters)
        except UnknownValueError:
            return _placeholder(shape)
        names = [target.removeprefix("Parameters.") for target in references(node) if target.startswith("Parameters.")]
        return _Given(value, names) if isinstance(value, str) and names else value
    if isinstance(node, dict) and shape is not None:
        if shape.type_name == "structure":
            return {key: _filled(value, shape.members.get(key), parameters) for key, value in node.items()}
        if shape.type_name == "map":
            return {key: _filled(value, shape.value, parameters) for key, value in node.items()}
    if isinstance(node, list) and shape is not None and shape.type_name == "list":
        return [_filled(value, shape.member, parameters) for value in node]
    return node


class _Placeholder(str):
    """Text that stands for what only an execution knows; no pattern is held against it."""


class _Given(str):
    """A value that parameters gave; ``names`` are theirs."""

    names: list[str]

    def __new__(cls, value: str, names: list[str]) -> _Given:
        given = super().__new__(cls, value)
        given.names = names
        return given


def _placeholder(shape: Any) -> Any:
    kind = shape.type_name if shape is not None else "string"
    match kind:
        case "integer" | "long":
            return shape.metadata.get("min", 1)
        case "float" | "double":
            return 1.0
        case "boolean":
            return False
        case _:
            return _Placeholder(
                shape.enum[0] if shape is not None and getattr(shape, "enum", None) else "s3://bucket/placeholder"
            )


def _values(value: Any, shape: Any, where: str) -> Iterator[str]:
    """Enums, maxima and patterns: what botocore's own validator leaves out."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        for key, child in value.items():
            if key in shape.members:
                yield from _values(child, shape.members[key], f"{where}.{key}".lstrip("."))
    elif kind == "map" and isinstance(value, dict):
        yield from _over_maximum(len(value), shape, where, "entries")
        for key, child in value.items():
            yield from _values(key, shape.key, f"{where}[{key}]")
            yield from _values(child, shape.value, f"{where}[{key}]")
    elif kind == "list" and isinstance(value, list):
        yield from _over_maximum(len(value), shape, where, "items")
        for index, child in enumerate(value):
            yield from _values(child, shape.member, f"{where}[{index}]")
    elif kind == "string" and isinstance(value, str) and not isinstance(value, _Placeholder):
        for fault in _text(value, shape, where):
            yield f"{fault} (parameter {', '.join(value.names)})" if isinstance(value, _Given) else fault
    elif kind in ("integer", "long", "float", "double") and isinstance(value, int | float):
        yield from _over_maximum(value, shape, where, "")


def _over_maximum(size: float, shape: Any, where: str, what: str) -> Iterator[str]:
    maximum = shape.metadata.get("max")
    if maximum is not None and size > maximum:
        yield f"{where}: {size} {what}".rstrip() + f" is over the service's {maximum}"


def _text(value: str, shape: Any, where: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield f"{where}: {value!r} is not one of the service's values ({len(shape.enum)} of them, such as {shape.enum[0]!r})"
    yield from _over_maximum(len(value), shape, where, "characters")
    if shape.name == "TagKey" and value.lower().startswith(_RESERVED):
        yield f"{where}: {value!r} begins with {_RESERVED}, which AWS keeps to itself"
    pattern = shape.metadata.get("pattern", "")
    if pattern and not _matches(pattern, value):
        yield f"{where}: {value!r} does not match the service's pattern {pattern}"
    if shape.name in _NOT_EMPTY and not value:
        yield f"{where}: it is empty, and the service takes 1 to {_NOT_EMPTY[shape.name]} characters"
    if shape.name in _NOT_EMPTY and len(value) > _NOT_EMPTY[shape.name]:
        yield f"{where}: {len(value)} characters is over the service's {_NOT_EMPTY[shape.name]}"


@cache
def _compiled(pattern: str) -> Any:
    return regex.compile(pattern)


def _matches(pattern: str, value: str) -> bool:
    """Whether all of a value fits. The service's patterns are Java's: their classes of Unicode need the package regex."""
    return _compiled(pattern).fullmatch(value) is not None
