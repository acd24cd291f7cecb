"""Which subsets of a pipeline's steps can be run alone.

The service asks that a selection is connected and leaves out no step between two of its own
(https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-selective-ex.html). Beyond that, what stands behind a condition is
selected together with the condition: nothing is registered past its gate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipelines.checks.graph import Edges, edges
from steps.shapes import Definition


def behind(definition: Definition) -> dict[str, str]:
    """The condition that each step of a branch stands behind."""
    return {
        inner["Name"]: step["Name"]
        for step in definition["Steps"]
        for key in ("IfSteps", "ElseSteps")
        for inner in step.get("Arguments", {}).get(key, [])
    }


def with_branches(definition: Definition, selected: Collection[str]) -> list[str]:
    """The selection with both branches of every condition in it, so that a gate's answer has its consequence."""
    branches = [name for name, gate in behind(definition).items() if gate in selected and name not in selected]
    return [*selected, *branches]


def sources(definition: Definition, selected: Collection[str]) -> set[str]:
    """Steps outside the selection whose results it needs, from an execution that has them."""
    needs = edges(definition)
    return {need for name in selected for need in needs[name]} - set(selected)


def selection_problems(definition: Definition, selected: Collection[str]) -> Iterator[str]:
    """Why these steps cannot be run alone, a line each."""
    needs = edges(definition)
    unknown = [name for name in selected if name not in needs]
    if unknown or not selected:
        yield f"{', '.join(unknown) or 'an empty selection'}: the pipeline's steps are {', '.join(needs)}"
        return
    for name, gate in behind(definition).items():
        if name in selected and gate not in selected:
            yield f"{name} stands behind {gate}: select {gate}, which decides about it"
    before = {name: _ancestors(needs, name) for name in needs}
    between = [
        name
        for name in needs
        if name not in selected and before[name] & set(selected) and any(name in before[other] for other in selected)
    ]
    if between:
        yield f"{', '.join(between)} lies between the selected steps: select it too"
    elif apart := _apart(needs, selected):
        yield f"{', '.join(apart)} is not connected with the other selected steps: start it by itself"


def _ancestors(needs: Edges, name: str) -> set[str]:
    ancestors: set[str] = set()
    waiting = list(needs[name])
    while waiting:
        other = waiting.pop()
        if other not in ancestors:
            ancestors.add(other)
            waiting += needs[other]
    return ancestors


def _apart(needs: Edges, selected: Collection[str]) -> list[str]:
    """What of the selection cannot be reached from its first step along edges within it."""
    chosen = list(selected)
    reached, waiting = {chosen[0]}, [chosen[0]]
    while waiting:
        name = waiting.pop()
        near = {other for other in chosen if other in needs[name] or name in needs[other]} - reached
        reached |= near
        waiting += near
    return [name for name in chosen if name not in reached]
