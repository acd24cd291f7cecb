"""Every check of a definition, in one list."""

from __future__ import annotations

from dataclasses import dataclass

from pathology.contracts.errors import RequestError

from pipelines.checks.expressions import all_steps
from pipelines.checks.graph import graph_problems, unused_parameters
from pipelines.checks.limits import limit_problems
from pipelines.checks.settings import defaults, setting_problems
from pipelines.checks.shapes import shape_problems
from pipelines.checks.volumes import volume_problems
from steps.shapes import Definition


@dataclass(frozen=True)
class Problem:
    """A fault, and the step (or pipeline) that has it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def check(name: str, definition: Definition) -> list[Problem]:
    """All faults of a definition, each once, in the order of the checks: limits, graph, shapes, hyperparameters, volumes."""
    parameters = defaults(definition)
    problems = [
        Problem(*pair)
        for pair in (*limit_problems(name, definition), *graph_problems(definition), *unused_parameters(definition))
    ]
    for step in all_steps(definition):
        problems += [Problem(step["Name"], what) for what in shape_problems(step, parameters)]
    problems += [Problem(*pair) for pair in (*setting_problems(definition, parameters), *volume_problems(definition, parameters))]
    return list(dict.fromkeys(problems))


def refuse_faulty(name: str, definition: Definition) -> None:
    """Raises RequestError with the first fault and how many more there are."""
    problems = check(name, definition)
    if problems:
        more = f" (and {len(problems) - 1} more: see python -m pipelines.validate)" if len(problems) > 1 else ""
        raise RequestError(f"{problems[0]}{more}")
