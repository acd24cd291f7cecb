"""What stands in a definition in place of a value: parameters, execution variables, step properties, joins, JSON values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeGuard

from steps.shapes import Definition, Expression, JoinFunction, JsonGetFunction, ParameterValues, StepDefinition

_KEYS = frozenset({"Get", "Std:Join", "Std:JsonGet"})
_STEP = re.compile(r"Steps\.(?P<step>[A-Za-z0-9-]+)\.(?P<rest>.+)\Z")
EXECUTION_VARIABLES = frozenset(
    f"Execution.{name}"
    for name in (
        "CurrentDateTime",
        "MlflowExperimentName",
        "MlflowRunName",
        "PipelineArn",
        "PipelineExecutionArn",
        "PipelineExecutionId",
        "PipelineName",
        "PipelineVersionId",
        "StartDateTime",
    )
)


class UnknownValueError(Exception):
    """The value is known only while an execution runs."""


def is_expression(node: Any) -> TypeGuard[Expression]:
    """Whether a node stands in place of a value."""
    return isinstance(node, dict) and len(node) == 1 and next(iter(node)) in _KEYS


def references(node: Any) -> Iterator[str]:
    """Every ``Get`` target in a node: ``Parameters.X``, ``Execution.Y``, ``Steps.S.…``."""
    if isinstance(node, dict):
        if set(node) == {"Get"}:
            yield node["Get"]
        else:
            for value in node.values():
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def json_gets(node: Any) -> Iterator[JsonGetFunction]:
    """Every ``Std:JsonGet`` in a node."""
    yield from _functions(node, "Std:JsonGet")


def joins(node: Any) -> Iterator[JoinFunction]:
    """Every ``Std:Join`` in a node."""
    yield from _functions(node, "Std:Join")


def _functions(node: Any, key: str) -> Iterator[Any]:
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for value in node.values():
            yield from _functions(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _functions(value, key)


def split_step(target: str) -> tuple[str, str] | None:
    """``("PrepareMsi", "ProcessingOutputConfig…")`` of a reference to a step, None for the others."""
    match = _STEP.match(target)
    return (match["step"], match["rest"]) if match else None


def all_steps(definition: Definition) -> Iterator[StepDefinition]:
    """Every step, those inside conditions too."""
    for step in definition["Steps"]:
        yield step
        arguments = step.get("Arguments", {})
        yield from arguments.get("IfSteps", [])
        yield from arguments.get("ElseSteps", [])


def known(node: Any, parameters: ParameterValues) -> Any:
    """The value of a node from parameters alone.

    Raises:
        UnknownValueError: when it depends on the execution.
    """
    if not is_expression(node):
        return node
    if "Get" in node and node["Get"].startswith("Parameters."):
        name = node["Get"].removeprefix("Parameters.")
        if parameters.get(name) is None:
            raise UnknownValueError(name)
        return parameters[name]
    if "Std:Join" in node:
        join = node["Std:Join"]
        return join.get("On", "").join(str(known(value, parameters)) for value in join["Values"])
    raise UnknownValueError(str(node))
