"""References that exist, names that are unique, an order that can be run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pipelines.checks.expressions import EXECUTION_VARIABLES, all_steps, joins, json_gets, references, split_step
from pipelines.checks.properties import property_problem
from steps.shapes import Definition, StepDefinition

Edges = dict[str, dict[str, None]]
_TYPES = frozenset({"Processing", "Training", "RegisterModel", "Condition", "Fail"})


def edges(definition: Definition) -> Edges:
    """For every step the steps it waits for, in the order they are named: references, DependsOn, and the gate above it."""
    needs: Edges = {}

    def visit(step: StepDefinition, gate: str | None) -> None:
        arguments = step.get("Arguments", {})
        without_branches = {key: value for key, value in arguments.items() if key not in ("IfSteps", "ElseSteps")}
        needed = dict.fromkeys(entry if isinstance(entry, str) else entry["Step"] for entry in step.get("DependsOn", []))
        needed.update(dict.fromkeys(split[0] for target in references(without_branches) if (split := split_step(target))))
        if gate:
            needed[gate] = None
        needs[step["Name"]] = needed
        for inner in [*arguments.get("IfSteps", []), *arguments.get("ElseSteps", [])]:
            visit(inner, step["Name"])

    for step in definition["Steps"]:
        visit(step, None)
    return needs


def graph_problems(definition: Definition) -> Iterator[tuple[str, str]]:
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
                yield step["Name"], f"DependsOn names {entry!r}, which is not a valid step"
        for value in json_gets(step.get("Arguments", {})):
            if not value.get("Path"):
                yield step["Name"], "a Std:JsonGet has no Path"
            if not any(".PropertyFiles." in target for target in references(value.get("PropertyFile"))):
                yield step["Name"], "a Std:JsonGet names no PropertyFile of a step"
        if any(not isinstance(join.get("Values"), list) or not join["Values"] for join in joins(step.get("Arguments", {}))):
            yield step["Name"], "a Std:Join has no list of Values"
        yield from ((step["Name"], fault) for fault in _property_file_problems(step))
    yield from _cycles(edges(definition))


def unused_parameters(definition: Definition) -> Iterator[tuple[str, str]]:
    """Pairs of parameter and fault. The service takes such a definition, and a person would wonder why nothing changes."""
    # Where checkpoints lie follows from what a job is told, and tells it nothing.
    told = [
        {**step.get("Arguments", {}), "CheckpointConfig": None, "IfSteps": [], "ElseSteps": []} for step in all_steps(definition)
    ]
    read = {target.removeprefix("Parameters.") for target in references(told)}
    for parameter in definition["Parameters"]:
        if parameter["Name"] not in read:
            yield f"parameter {parameter['Name']}", "no step reads it, so that another value changes nothing: use it in the graph"


def _inner(step: StepDefinition) -> list[StepDefinition]:
    arguments = step.get("Arguments", {})
    return [*arguments.get("IfSteps", []), *arguments.get("ElseSteps", [])]


def _outputs(step: StepDefinition) -> set[str]:
    return {item["OutputName"] for item in step["Arguments"].get("ProcessingOutputConfig", {}).get("Outputs", [])}


def _target_problems(target: str, parameters: set[str], steps: dict[str, StepDefinition]) -> Iterator[str]:
    if target.startswith("Parameters."):
        if target.removeprefix("Parameters.") not in parameters:
            yield f"{target} is not a valid parameter of the pipeline"
        return
    if target.startswith("Execution."):
        if target not in EXECUTION_VARIABLES:
            yield f"{target} is not a valid variable of an execution"
        return
    split = split_step(target)
    if split is None:
        yield f"{target!r} refers to nothing known"
        return
    name, rest = split
    if name not in steps:
        yield f"{target} refers to unknown step {name}"
        return
    if rest.startswith("PropertyFiles."):
        wanted = rest.removeprefix("PropertyFiles.")
        if wanted not in {file["PropertyFileName"] for file in steps[name].get("PropertyFiles", [])}:
            yield f"{name} has no property file {wanted!r}"
        return
    fault = property_problem(steps[name], rest)
    if fault:
        yield f"{target}: {fault}"


def _property_file_problems(step: StepDefinition) -> Iterator[str]:
    for file in step.get("PropertyFiles", []):
        if file["OutputName"] not in _outputs(step):
            yield f"property file {file['PropertyFileName']} lies in unknown output {file['OutputName']!r}"


def _cycles(needs: Edges) -> Iterator[tuple[str, str]]:
    waiting = {name: set(sources) & set(needs) for name, sources in needs.items()}
    while ready := [name for name, sources in waiting.items() if not sources]:
        for name in ready:
            del waiting[name]
        for sources in waiting.values():
            sources.difference_update(ready)
    if waiting:
        yield next(iter(waiting)), f"these steps wait for each other: {', '.join(waiting)}"
