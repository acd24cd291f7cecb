"""What has to differ: names of inputs, outputs, channels, parameters, reports and tags, and places in a container."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from steps.shapes import Definition, StepDefinition


def duplicate_parameters(definition: Definition) -> Iterator[tuple[str, str]]:
    """Pairs of parameter and fault."""
    for name in _twice(parameter["Name"] for parameter in definition["Parameters"]):
        yield f"parameter {name}", "it is declared twice: take one out"


def duplicates(step: StepDefinition) -> Iterator[str]:
    """What stands twice in a step, and may not."""
    arguments = step.get("Arguments", {})
    inputs = arguments.get("ProcessingInputs", [])
    outputs = arguments.get("ProcessingOutputConfig", {}).get("Outputs", [])
    lists: tuple[tuple[str, Iterable[Any]], ...] = (
        ("inputs are named", [item.get("InputName") for item in inputs]),
        ("outputs are named", [item.get("OutputName") for item in outputs]),
        ("channels are named", [item.get("ChannelName") for item in arguments.get("InputDataConfig", [])]),
        ("property files are named", [item.get("PropertyFileName") for item in step.get("PropertyFiles", [])]),
        (
            "metrics are named",
            [item.get("Name") for item in arguments.get("AlgorithmSpecification", {}).get("MetricDefinitions", [])],
        ),
        ("tags have the key", [item.get("Key") for item in arguments.get("Tags", [])]),
        ("inputs or outputs lie in", [path for item in [*inputs, *outputs] if (path := _local_path(item))]),
    )
    for what, names in lists:
        for name in _twice(names):
            yield f"two {what} {name!r}"


def _local_path(item: dict[str, Any]) -> str | None:
    path = (item.get("S3Input") or item.get("S3Output") or {}).get("LocalPath")
    return path.rstrip("/") if isinstance(path, str) else None


def _twice(names: Iterable[Any]) -> list[str]:
    return [name for name, count in Counter(name for name in names if isinstance(name, str)).items() if count > 1]
