"""Hyperparameters in a definition against the class that the job will parse them with, and values given to a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pathology.contracts import settings_lizard, settings_mhist, settings_msi
from pathology.contracts.errors import RequestError
from pathology.contracts.settings import Settings

from pipelines.checks.expressions import UnknownValueError, all_steps, known, references

COMMANDS: dict[str, type[Settings]] = {
    "prepare_msi": settings_msi.PrepareMsi,
    "extract_features": settings_msi.ExtractFeatures,
    "collect_features": settings_msi.CollectFeatures,
    "stage": settings_msi.StageFeatures,
    "train_msi_tcga": settings_msi.TrainMsi,
    "evaluate_msi": settings_msi.EvaluateMsi,
    "prepare_mhist": settings_mhist.PrepareMhist,
    "stage_mhist": settings_mhist.StageMhist,
    "train_mhist": settings_mhist.TrainMhist,
    "evaluate_mhist": settings_mhist.EvaluateMhist,
    "prepare_lizard": settings_lizard.PrepareLizard,
    "stage_lizard": settings_lizard.StageLizard,
    "train_lizard": settings_lizard.TrainLizard,
    "evaluate_lizard": settings_lizard.EvaluateLizard,
}
_PREFIX = "SM_HP_"
_OUTPUT = "s3://bucket/output"
"""Stands for what only an execution knows, which is where a step before has written."""


def hyperparameters(step: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """A job step's command and its hyperparameters, expressions and all; None for other steps."""
    arguments = step.get("Arguments", {})
    if step["Type"] == "Training":
        return arguments["AlgorithmSpecification"]["ContainerArguments"][0], arguments.get("HyperParameters", {})
    if step["Type"] == "Processing":
        values = {
            key.removeprefix(_PREFIX).lower().replace("_", "-"): value
            for key, value in arguments.get("Environment", {}).items()
            if key.startswith(_PREFIX)
        }
        return arguments["AppSpecification"]["ContainerArguments"][0], values
    return None


def defaults(definition: dict[str, Any]) -> dict[str, Any]:
    """Every parameter's default."""
    return {parameter["Name"]: parameter.get("DefaultValue") for parameter in definition["Parameters"]}


def setting_problems(definition: dict[str, Any], parameters: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of step and fault, with these parameters; a value that names a parameter is reported by the parameter's name."""
    for step in all_steps(definition):
        job = hyperparameters(step)
        if job is None:
            continue
        command, expressions = job
        if command not in COMMANDS:
            yield step["Name"], f"there is no command {command!r}"
            continue
        values = {}
        for key, expression in expressions.items():
            try:
                values[key] = known(expression, parameters)
            except UnknownValueError:
                if _needed(COMMANDS[command], key):
                    values[key] = _OUTPUT
        try:
            COMMANDS[command].parse(values, command)
        except RequestError as error:
            yield step["Name"], _named(str(error), expressions)


def _needed(settings: type[Settings], key: str) -> bool:
    return any(field.is_required() for field in settings.model_fields.values() if field.alias == key)


def _named(message: str, expressions: dict[str, Any]) -> str:
    for key, expression in expressions.items():
        targets = [target for target in references(expression) if target.startswith("Parameters.")]
        if targets and f": {key}: " in message:
            return message.replace(f": {key}: ", f": parameter {targets[0].removeprefix('Parameters.')}: ")
    return message
