"""Hyperparameters in a definition against the class that the job will parse them with, and values given to a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pathology.contracts.errors import RequestError
from pathology.contracts.settings import NOT_GIVEN, Settings, hyperparameters_in, split_names

from pipelines.checks.expressions import UnknownValueError, all_steps, known, references
from pipelines.checks.values import is_number
from pipelines.tasks import NAMES, task_spec
from steps.shapes import Definition, ParameterValues, StepDefinition, Value

_OUTPUT = "s3://bucket/output"
"""Stands for what only an execution knows, which is where a step before has written."""


@cache
def command_settings() -> dict[str, type[Settings]]:
    """Every command that a task's pipelines run, and the class that its job parses its hyperparameters with."""
    specs = [pipeline for name in NAMES for pipeline in task_spec(name).pipelines.values()]
    return {command: settings for spec in specs for command, settings in spec.commands.items()}


def hyperparameters(step: StepDefinition) -> tuple[str, dict[str, Value]] | None:
    """A job step's command and its hyperparameters, expressions and all; None for other steps."""
    arguments = step.get("Arguments", {})
    if step["Type"] == "Training":
        return arguments["AlgorithmSpecification"]["ContainerArguments"][0], arguments.get("HyperParameters", {})
    if step["Type"] == "Processing":
        return arguments["AppSpecification"]["ContainerArguments"][0], hyperparameters_in(arguments.get("Environment", {}))
    return None


def defaults(definition: Definition) -> ParameterValues:
    """Every parameter's default."""
    return {parameter["Name"]: parameter.get("DefaultValue") for parameter in definition["Parameters"]}


def setting_problems(definition: Definition, parameters: ParameterValues) -> Iterator[tuple[str, str]]:
    """Pairs of step and fault, with these parameters; a value that names a parameter is reported by the parameter's name."""
    commands = command_settings()
    for step in all_steps(definition):
        job = hyperparameters(step)
        if job is None:
            continue
        command, expressions = job
        if command not in commands:
            yield step["Name"], f"there is no command {command!r}"
            continue
        values = {}
        for key, expression in expressions.items():
            try:
                values[key] = known(expression, parameters)
            except UnknownValueError:
                if _needed(commands[command], key):
                    values[key] = _OUTPUT
        loose = [f"{command}: {fault}" for fault in _loose_numbers(commands[command], values)]
        for fault in loose or _parse_faults(commands[command], values, command):
            yield step["Name"], _named(fault, expressions)


def _parse_faults(settings: type[Settings], values: dict[str, Any], command: str) -> Iterator[str]:
    try:
        settings.parse(values, command)
    except RequestError as error:
        yield str(error)


def _loose_numbers(settings: type[Settings], values: Mapping[str, Any]) -> Iterator[str]:
    """Texts that a setting would read as a number and that are not written as one, such as ``1_0`` for an optional scale."""
    for field in settings.model_fields.values():
        text, kinds = values.get(str(field.alias)), set(_kinds(field.annotation))
        numbers = kinds & {int, float}
        if not isinstance(text, str) or text == NOT_GIVEN or not numbers or kinds - {int, float, tuple, list, type(None)}:
            continue
        for item in split_names(text) if kinds & {tuple, list} else [text]:
            if not is_number(item, whole=numbers == {int}):
                yield f"{field.alias}: should be a number in plain digits, such as {10 if numbers == {int} else 0.5}, not {item!r}"


def _kinds(annotation: Any) -> Iterator[Any]:
    """Every type that an annotation is made of."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _kinds(inner[0])
    elif origin is None:
        yield annotation
    else:
        yield from (origin,) if origin not in (Union, UnionType) else ()
        for one in inner:
            yield from _kinds(one) if one is not ... else ()


def _needed(settings: type[Settings], key: str) -> bool:
    return any(field.is_required() for field in settings.model_fields.values() if field.alias == key)


def _named(message: str, expressions: dict[str, Value]) -> str:
    for key, expression in expressions.items():
        targets = [target for target in references(expression) if target.startswith("Parameters.")]
        if targets and f": {key}: " in message:
            return message.replace(f": {key}: ", f": parameter {targets[0].removeprefix('Parameters.')}: ")
    return message
