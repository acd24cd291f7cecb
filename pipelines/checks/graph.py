"""References that exist, names that are unique, an order that can be run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pipelines.checks.expressions import EXECUTION_VARIABLES, all_steps, json_gets, references, split_step

Edges = dict[str, dict[str, None]]
_OUTPUT = re.compile(r"ProcessingOutputConfig\.Outputs\['(?P<name>[^']+)'\]")
_TYPES = frozenset({"Processing", "Training", "RegisterModel", "Condition", "Fail"})


def edges(definition: dict[str, Any]) -> Edges:
    """For every step the steps it waits for, in the order they are named: references, DependsOn, and the gate above it."""
    needs: Edges = {}

    def visit(step: dict[str, Any], gate: str | None) -> None:
        arguments = step.get("Arguments", {})
        own = {key: value for key, value in arguments.items() if key not in ("IfSteps", "ElseSteps")}
        found = dict.fromkeys(entry if isinstance(entry, str) else entry["Step"] for entry in step.get("DependsOn", []))
        found.update(dict.fromkeys(split[0] for target in references(own) if (split := split_step(target))))
        if gate:
            found[gate] = None
        needs[step["Name"]] = found
        for inner in [*arguments.get("IfSteps", []), *arguments.get("ElseSteps", [])]:
            visit(inner, step["Name"])

    for step in definition["Steps"]:
        visit(step, None)
    return needs


def graph_problems(definition: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Pairs of step and fault."""
    steps = list(all_steps(definition))
    for name, count in Counter(step["Name"] for step in steps).items():
        if count > 1:
            yield name, f"{count} steps have this name"
    by_name = {step["Name"]: step for step in steps}
    parameters = {parameter["Name"] for parameter in definition["Parameters"]}
    for step in steps:
        if step["Type"] not in _TYPES:
            yield step["Name"], f"a step of type {step['Type']!r} is not one of {', '.join(sorted(_TYPES))}"
        nested = [inner for inner in _inner(step) if inner["Type"] == "Condition"]
        if nested:
            yield step["Name"], f"conditions cannot be nested ({nested[0]['Name']})"
        for target in references(step.get("Arguments", {})):
            yield from ((step["Name"], fault) for fault in _target_problems(target, parameters, by_name))
        for entry in step.get("DependsOn", []):
            if (entry if isinstance(entry, str) else entry["Step"]) not in by_name:
                yield step["Name"], f"DependsOn names {entry!r}, which is no step"
        for value in json_gets(step.get("Arguments", {})):
            if not value.get("Path"):
                yield step["Name"], "a Std:JsonGet has no Path"
        yield from ((step["Name"], fault) for fault in _property_file_problems(step))
    yield from _cycles(edges(definition))


def _inner(step: dict[str, Any]) -> list[dict[str, Any]]:
    arguments = step.get("Arguments", {})
    return [*arguments.get("IfSteps", []), *arguments.get("ElseSteps", [])]


def _outputs(step: dict[str, Any]) -> set[str]:
    return {item["OutputName"] for item in step["Arguments"].get("ProcessingOutputConfig", {}).get("Outputs", [])}


def _target_problems(target: str, parameters: set[str], steps: dict[str, dict[str, Any]]) -> Iterator[str]:
    if target.startswith("Parameters."):
        if target.removeprefix("Parameters.") not in parameters:
            yield f"{target} is no parameter of the pipeline"
        return
    if target.startswith("Execution."):
        if target not in EXECUTION_VARIABLES:
            yield f"{target} is no variable of an execution"
        return
    split = split_step(target)
    if split is None:
        yield f"{target!r} refers to nothing known"
        return
    name, rest = split
    if name not in steps:
        yield f"{target} refers to step {name}, which there is not"
        return
    if rest.startswith("PropertyFiles."):
        wanted = rest.removeprefix("PropertyFiles.")
        if wanted not in {file["PropertyFileName"] for file in steps[name].get("PropertyFiles", [])}:
            yield f"{name} has no property file {wanted!r}"
        return
    output = _OUTPUT.match(rest)
    if output and output["name"] not in _outputs(steps[name]):
        yield f"{name} has no output {output['name']!r}"


def _property_file_problems(step: dict[str, Any]) -> Iterator[str]:
    for file in step.get("PropertyFiles", []):
        if file["OutputName"] not in _outputs(step):
            yield f"property file {file['PropertyFileName']} lies in output {file['OutputName']!r}, which there is not"


def _cycles(needs: Edges) -> Iterator[tuple[str, str]]:
    waiting = {name: set(found) & set(needs) for name, found in needs.items()}
    while ready := [name for name, found in waiting.items() if not found]:
        for name in ready:
            del waiting[name]
        for found in waiting.values():
            found.difference_update(ready)
    if waiting:
        yield next(iter(waiting)), f"these steps wait for each other: {', '.join(waiting)}"
