"""Every check of a definition, in one list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pathology.contracts.errors import RequestError

from pipelines.checks.conditions import condition_problems
from pipelines.checks.duplicates import duplicate_parameters, duplicates
from pipelines.checks.expressions import all_steps
from pipelines.checks.form import form_problems, member_problems, parameter_problems, unreadable_parameters
from pipelines.checks.graph import graph_problems, unused_parameters
from pipelines.checks.limits import limit_problems
from pipelines.checks.refused import refused
from pipelines.checks.settings import defaults, setting_problems
from pipelines.checks.shapes import structure_problems, value_problems
from pipelines.checks.volumes import volume_problems
from steps.shapes import Definition, StepDefinition

_UNREADABLE = ("Invalid type", "Invalid length", "Missing required")
"""How botocore's validator begins what keeps the other checks from reading a request."""


@dataclass(frozen=True)
class Problem:
    """A fault, and the step (or pipeline) that has it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def check(name: str, definition: Definition) -> list[Problem]:
    """All faults of a definition, each once. Where members are missing or of a wrong type, those alone: nothing else could be read."""
    broken = [*unreadable_parameters(definition), *_misshapen(definition)]
    if broken:
        return _problems(broken)
    parameters = defaults(definition)
    structure = [(step["Name"], fault) for step in all_steps(definition) for fault in structure_problems(step, parameters)]
    if any(fault.startswith(_UNREADABLE) for _, fault in structure):
        return _problems(structure)
    pairs = [*limit_problems(name, definition), *graph_problems(definition), *_of_parameters(definition), *structure]
    for step in all_steps(definition):
        faults = (
            *form_problems(step),
            *condition_problems(definition, step),
            *duplicates(step),
            *refused(step),
            *value_problems(step, parameters),
        )
        pairs += [(step["Name"], fault) for fault in faults]
    return _problems([*pairs, *setting_problems(definition, parameters), *volume_problems(definition, parameters)])


def _problems(pairs: list[tuple[str, str]]) -> list[Problem]:
    return list(dict.fromkeys(Problem(*pair) for pair in pairs))


def _misshapen(definition: Definition) -> Iterator[tuple[str, str]]:
    """Of the outer steps first: a branch is looked for in a step's arguments."""
    outer = [(_name(step), fault) for step in definition["Steps"] for fault in member_problems(step)]
    yield from outer
    if not outer:
        yield from ((_name(step), fault) for step in all_steps(definition) for fault in member_problems(step))


def _name(step: StepDefinition) -> str:
    return str(step.get("Name", "a step without a name"))


def _of_parameters(definition: Definition) -> Iterator[tuple[str, str]]:
    for parameter in definition["Parameters"]:
        yield from ((f"parameter {parameter['Name']}", fault) for fault in parameter_problems(parameter))
    yield from duplicate_parameters(definition)
    yield from unused_parameters(definition)


def refuse_faulty(name: str, definition: Definition) -> None:
    """Raises RequestError with the first fault and how many more there are."""
    problems = check(name, definition)
    if problems:
        more = f" (and {len(problems) - 1} more: see python -m pipelines.validate)" if len(problems) > 1 else ""
        raise RequestError(f"{problems[0]}{more}")
