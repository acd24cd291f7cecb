"""Where a fault is planted in a definition: its places, and the list of faults that the modules beside this one enter."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

KINDS = ("property path", "name", "path", "count", "limit", "pattern", "type", "duplicate")
Place = tuple[Any, Any]
"""A container, and the key or index in it."""


def steps_of(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """Every step, those of branches too."""
    inner = [one for step in definition["Steps"] for key in ("IfSteps", "ElseSteps") for one in step["Arguments"].get(key, [])]
    return [*definition["Steps"], *inner]


def places(node: Any, wanted: Callable[[Any, Any], bool]) -> list[Place]:
    """Every place below ``node`` whose key and value are ``wanted``, but not in the steps of a condition's branches."""
    found: list[Place] = []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if key in ("IfSteps", "ElseSteps"):
            continue
        if wanted(key, value):
            found.append((node, key))
        found += places(value, wanted)
    return found


Fault = Callable[[dict[str, Any], dict[str, Any], random.Random], bool]
FAULTS: dict[str, list[Fault]] = {kind: [] for kind in KINDS}


def fault(kind: str) -> Callable[[Fault], Fault]:
    """Enters a fault under its kind. It changes the definition and says whether there was a place for it."""

    def enter(function: Fault) -> Fault:
        FAULTS[kind].append(function)
        return function

    return enter


def put(found: list[Place], random_: random.Random, change: Callable[[Any], Any]) -> bool:
    """Change the value of one of the places."""
    if not found:
        return False
    node, key = random_.choice(found)
    node[key] = change(node[key])
    return True


def references(step: dict[str, Any], start: str = "Steps.") -> list[Place]:
    return places(step["Arguments"], lambda key, value: key == "Get" and isinstance(value, str) and value.startswith(start))


def properties(step: dict[str, Any]) -> list[Place]:
    return [(node, key) for node, key in references(step) if ".PropertyFiles." not in node[key]]
