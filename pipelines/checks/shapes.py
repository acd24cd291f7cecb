"""A step's arguments against botocore's model of the request: types, required members, enums, lengths, patterns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pipelines.checks.expressions import UnknownValueError, is_expression, known
from steps.shapes import ParameterValues, StepDefinition

OPERATIONS = {
    "Processing": ("CreateProcessingJob", {"ProcessingJobName": "job"}),
    "Training": ("CreateTrainingJob", {"TrainingJobName": "job"}),
    "RegisterModel": ("CreateModelPackage", {}),
}
_MAX_PATTERN_LENGTH = 400


@cache
def service_model() -> Any:
    """botocore's model of SageMaker, from the installed package."""
    import botocore.session

    return botocore.session.get_session().get_service_model("sagemaker")


def shape_problems(step: StepDefinition, parameters: ParameterValues) -> Iterator[str]:
    """What botocore's request shape has against the arguments; values of parameters stand in for references to them."""
    from botocore.validate import ParamValidator

    if step["Type"] not in OPERATIONS:
        return
    operation, named = OPERATIONS[step["Type"]]
    shape = service_model().operation_model(operation).input_shape
    arguments = {**named, **_filled(step["Arguments"], shape, parameters)}
    report = ParamValidator().validate(arguments, shape)
    if report.has_errors():
        for line in report.generate_report().splitlines():
            yield line.strip()
    yield from _values(arguments, shape, "")


def _filled(node: Any, shape: Any, parameters: ParameterValues) -> Any:
    """``node`` with every reference replaced: by its value where parameters tell it, else by a value of the shape's type."""
    if is_expression(node):
        try:
            return known(node, parameters)
        except UnknownValueError:
            return _placeholder(shape)
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
        yield from _text(value, shape, where)
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
    pattern = shape.metadata.get("pattern", "")
    # Java's \p{…} classes and its longest patterns (host names with nested repeats) are beyond Python's engine.
    if pattern and "\\p{" not in pattern and len(pattern) <= _MAX_PATTERN_LENGTH and not re.fullmatch(pattern, value):
        yield f"{where}: {value!r} does not match the service's pattern {pattern}"
