"""Conditions: that they are there, of a kind that the service knows, and compare by size what is a number.

Kinds and members are the SDK's (sagemaker.core.workflow.conditions), as the developer guide shows none of the JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipelines.checks.expressions import is_expression
from steps.shapes import Definition, StepDefinition

_SIDES = ("LeftValue", "RightValue")
_COMPARISONS = ("Equals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")
_MEMBERS = {**dict.fromkeys(_COMPARISONS, _SIDES), "In": ("QueryValue", "Values"), "Or": ("Conditions",), "Not": ("Expression",)}


def condition_problems(definition: Definition, step: StepDefinition) -> Iterator[str]:
    """Comparisons by size of what is not a number, and a Condition step without conditions."""
    if step["Type"] != "Condition":
        return
    conditions = step.get("Arguments", {}).get("Conditions")
    if not isinstance(conditions, list) or not conditions:
        yield "Conditions is empty: a condition step needs one at least"
        return
    types = {parameter["Name"]: parameter["Type"] for parameter in definition["Parameters"]}
    waiting = list(conditions)
    while waiting:
        condition = waiting.pop()
        waiting += [
            *condition.get("Conditions", []),
            *(condition[key] for key in ("Expression", "Condition") if key in condition),
        ]
        kind = str(condition.get("Type"))
        if kind not in _MEMBERS:
            yield f"a condition of type {kind!r} is not one of {', '.join(_MEMBERS)}"
            continue
        missing = [member for member in _MEMBERS[kind] if member not in condition]
        if missing:
            yield f"a condition of type {kind} has no {' and no '.join(missing)}"
            continue
        if kind.startswith(("GreaterThan", "LessThan")):
            for side in ("LeftValue", "RightValue"):
                text = _text(condition.get(side), types)
                if text:
                    yield f"{kind} compares {text}, which is no number"


def _text(value: Any, types: dict[str, str]) -> str | None:
    """A side of a comparison in words where it is no number, else None; what only an execution knows may be one."""
    if is_expression(value):
        if "Std:Join" in value:
            return "a Std:Join"
        target = value.get("Get", "")
        name = target.removeprefix("Parameters.")
        if target.startswith("Parameters.") and types.get(name, "Float") not in ("Integer", "Float"):
            return f"parameter {name}, a {types[name]}"
        return target if target.startswith("Execution.") else None
    return None if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)
