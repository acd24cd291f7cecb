"""Where two definitions differ, by path: ``Steps[TrainMsi].Arguments.HyperParameters.epochs: "20" → "30"``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_NAMES = ("Name", "InputName", "ChannelName", "OutputName", "Key")
_MAX_LENGTH = 120


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """One line for every place that differs; members of lists are matched by their names where they have them."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            below = f"{path}.{key}" if path else key
            yield from _member(old, new, key, below)
    elif isinstance(old, list) and isinstance(new, list):
        before, after = _by_name(old), _by_name(new)
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _member(before, after, key, f"{path}[{key}]")
        if list(before) != list(after) and set(before) == set(after):
            yield f"{path}: another order"
    elif old != new:
        yield f"{path}: {_short(old)} → {_short(new)}"


def _member(old: dict[Any, Any], new: dict[Any, Any], key: Any, path: str) -> Iterator[str]:
    if key not in new:
        yield f"{path}: {_short(old[key])} → gone"
    elif key not in old:
        yield f"{path}: new {_short(new[key])}"
    else:
        yield from differences(old[key], new[key], path)


def _by_name(items: list[Any]) -> dict[Any, Any]:
    for name in _NAMES:
        if items and all(isinstance(item, dict) and name in item for item in items):
            return {item[name]: item for item in items}
    return dict(enumerate(items))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"
