"""The values that stand behind a definition's expressions while an execution runs."""

from __future__ import annotations

import json
import math
import operator
import re
from dataclasses import dataclass, field
from typing import Any

from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.storage import Store
from pathology.contracts.uris import Uri

from pipelines.checks.expressions import is_expression, split_step
from steps.shapes import (
    Answer,
    ConditionDefinition,
    Expression,
    JsonGetFunction,
    ParameterValues,
    PropertyFileDeclaration,
)

_PART = re.compile(r"\.?(?:(?P<name>[^.\[\]]+)|\['(?P<key>[^']+)'\]|\[(?P<index>\d+)\])")
_NAMES = ("OutputName", "InputName", "ChannelName", "MetricName", "Name")
_COMPARE = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


def look_up(document: Any, path: str, where: str) -> Any:
    """``a.b['name'][0]`` in a document; a name in brackets picks the list's item of that name.

    Raises:
        DataError: when the path leads nowhere, naming ``where``.
    """
    value, end = document, 0
    for match in _PART.finditer(path.removeprefix("$.")):
        end = match.end()
        try:
            value = _member(value, match)
        except (KeyError, IndexError, TypeError, StopIteration):
            raise DataError(f"{where} has no {path}") from None
    if end != len(path.removeprefix("$.")):
        raise RequestError(f"{where}: {path!r} is not a valid path")
    return value


def _member(value: Any, match: re.Match[str]) -> Any:
    if match["index"] is not None:
        return value[int(match["index"])]
    key = match["name"] or match["key"]
    if isinstance(value, list):
        return next(item for item in value if any(item.get(name) == key for name in _NAMES))
    return value[key]


def as_text(value: Any) -> str:
    """A value as Std:Join writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case _:
            return json.dumps(value)


@dataclass
class Scope:
    """What expressions can see: parameters, the execution's own variables, and the jobs of steps that have ended."""

    parameters: ParameterValues
    execution: dict[str, str]
    store: Store
    property_files: dict[tuple[str, str], PropertyFileDeclaration]
    jobs: dict[str, Answer] = field(default_factory=dict)

    def resolve(self, node: Any) -> Any:
        """``node`` with every expression replaced by its value.

        Raises:
            DataError: when a value is not there.
        """
        if is_expression(node):
            return self._value(node)
        if isinstance(node, dict):
            return {key: self.resolve(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.resolve(value) for value in node]
        return node

    def _value(self, node: Expression) -> Any:
        if "Std:Join" in node:
            join = node["Std:Join"]
            return join.get("On", "").join(as_text(self.resolve(value)) for value in join["Values"])
        if "Std:JsonGet" in node:
            return self._json_get(node["Std:JsonGet"])
        target = node["Get"]
        if target.startswith("Parameters."):
            return self.parameters[target.removeprefix("Parameters.")]
        if target.startswith("Execution."):
            return self.execution[target]
        step = split_step(target)
        if step is None or step[0] not in self.jobs:
            raise DataError(f"{target} is not known: its step has not ended")
        return look_up(self.jobs[step[0]], step[1], step[0])

    def _json_get(self, node: JsonGetFunction) -> Any:
        step = split_step(node["PropertyFile"]["Get"])
        assert step is not None, "the graph check lets no other reference through"
        name, file = step[0], step[1].removeprefix("PropertyFiles.")
        properties = self.property_files[name, file]
        output = look_up(self.jobs[name], f"ProcessingOutputConfig.Outputs['{properties['OutputName']}']", name)
        uri = Uri.parse(output["S3Output"]["S3Uri"]) / properties["FilePath"]
        try:
            document = json.loads(self.store.read(uri))
        except ValueError:
            raise DataError(f"{uri}: property file {file} is not valid JSON") from None
        return look_up(document, node["Path"], str(uri))


def holds(condition: ConditionDefinition, scope: Scope) -> bool:
    """Whether a condition of a Condition step holds.

    Raises:
        DataError: for a value that is not there, or that cannot be compared, such as NaN.
    """
    kind = condition["Type"]
    if kind == "Not":
        return not holds(condition["Expression"] if "Expression" in condition else condition["Condition"], scope)
    if kind == "Or":
        return any(holds(inner, scope) for inner in condition["Conditions"])
    if kind == "In":
        return scope.resolve(condition["QueryValue"]) in [scope.resolve(value) for value in condition["Values"]]
    left, right = scope.resolve(condition["LeftValue"]), scope.resolve(condition["RightValue"])
    if kind == "Equals":
        return bool(left == right)
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise DataError(f"{value!r} is not a valid number, and {kind} compares numbers")
    return bool(_COMPARE[kind](left, right))
