"""Property paths: whether ``Steps.<step>.<path>`` leads to a value in what the service says of that step.

A job's properties are what Describe answers (https://docs.aws.amazon.com/sagemaker/latest/dg/build-and-manage-properties.html).
"""

from __future__ import annotations

import re
from typing import Any

from pipelines.checks.shapes import service_model
from steps.shapes import StepDefinition

_DESCRIBES = {
    "Processing": "DescribeProcessingJobResponse",
    "Training": "DescribeTrainingJobResponse",
    "RegisterModel": "DescribeModelPackageOutput",
}
_OTHERS = {"Condition": "Outcome", "Fail": "ErrorMessage"}
_PART = re.compile(r"\.?(?P<name>[A-Za-z0-9]+)|\['(?P<key>[^']+)'\]|\[(?P<index>\d+)\]")
_NAMED = {"Outputs": ("ProcessingOutputConfig", "OutputName"), "ProcessingInputs": ("", "InputName")}


def property_problem(step: StepDefinition, path: str) -> str | None:
    """What is wrong with ``path`` below a step, None for one that leads to a value."""
    if step["Type"] in _OTHERS:
        only = _OTHERS[step["Type"]]
        return None if path == only else f"a {step['Type']} step has no property {path!r}, only {only}"
    if step["Type"] not in _DESCRIBES:
        return None
    shape: Any = service_model().shape_for(_DESCRIBES[step["Type"]])
    place, member = 0, ""
    while place < len(path):
        match = _PART.match(path, place)
        if match is None or (match["name"] and (place > 0) != match[0].startswith(".")):
            return f"{path!r} is no path of properties"
        below = _below(shape, match)
        if below is None:
            return f"{step['Name']} has no property {path!r}: {match[0].lstrip('.')!r} is not in {member or shape.name}"
        if match["key"] and member in _NAMED and match["key"] not in _names(step, member):
            what = "output" if member == "Outputs" else "input"
            return f"{step['Name']} has no {what} {match['key']!r}"
        shape, member, place = below, match["name"] or member, match.end()
    if shape.type_name in ("structure", "list", "map"):
        return f"{step['Name']}'s {path!r} is a {shape.type_name}, and a reference needs a single value of it"
    return None


def _below(shape: Any, part: re.Match[str]) -> Any:
    """The shape of a part, None where there is none. Members of a list are told by position, or by their name."""
    if part["name"]:
        return shape.members.get(part["name"]) if shape.type_name == "structure" else None
    if shape.type_name == "list":
        return shape.member
    return shape.value if shape.type_name == "map" and part["key"] else None


def _names(step: StepDefinition, member: str) -> set[str]:
    above, key = _NAMED[member]
    arguments = step["Arguments"]
    return {item[key] for item in (arguments.get(above, {}) if above else arguments).get(member, [])}
