"""Every check of a definition, in one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pathology.contracts.errors import RequestError

from pipelines.checks.expressions import all_steps
from pipelines.checks.graph import graph_problems
from pipelines.checks.limits import limit_problems
from pipelines.checks.settings import defaults, setting_problems
from pipelines.checks.shapes import shape_problems
from pipelines.checks.volumes import volume_problems


@dataclass(frozen=True)
class Problem:
    """A fault, and the step (or pipeline) that has it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def check(name: str, definition: dict[str, Any]) -> list[Problem]:
    """All faults of a definition, each once, in the order of the checks: limits, graph, shapes, hyperparameters, volumes."""
    parameters = defaults(definition)
    found = [Problem(*pair) for pair in (*limit_problems(name, definition), *graph_problems(definition))]
    for step in all_steps(definition):
        found += [Problem(step["Name"], what) for what in shape_problems(step, parameters)]
    found += [Problem(*pair) for pair in (*setting_problems(definition, parameters), *volume_problems(definition, parameters))]
    return list(dict.fromkeys(found))


def refuse_faulty(name: str, definition: dict[str, Any]) -> None:
    """Raises RequestError with the first fault and how many more there are."""
    found = check(name, definition)
    if found:
        more = f" (and {len(found) - 1} more: see python -m pipelines.validate)" if len(found) > 1 else ""
        raise RequestError(f"{found[0]}{more}")
