"""Hyperparameters in a definition against the class that the job will parse them with, and values given to a run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from pathology.contracts.errors import RequestError
from pathology.contracts.settings import Settings, hyperparameters_in

from pipelines.checks.expressions import UnknownValueError, all_steps, known, references
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
        try:
            commands[command].parse(values, command)
        except RequestError as error:
            yield step["Name"], _named(str(error), expressions)


def _needed(settings: type[Settings], key: str) -> bool:
    return any(field.is_required() for field in settings.model_fields.values() if field.alias == key)


def _named(message: str, expressions: dict[str, Value]) -> str:
    for key, expression in expressions.items():
        targets = [target for target in references(expression) if target.startswith("Parameters.")]
        if targets and f": {key}: " in message:
            return message.replace(f": {key}: ", f": parameter {targets[0].removeprefix('Parameters.')}: ")
    return message
