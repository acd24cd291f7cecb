"""Values that a person gives to a run: read as the parameter's type, refused before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pathology.contracts.errors import RequestError
from pathology.contracts.settings import NOT_GIVEN
from pathology.contracts.uris import Uri

from pipelines.checks.settings import defaults, setting_problems
from pipelines.checks.shapes import request_problems
from pipelines.checks.volumes import volume_problems
from pipelines.config import read_yaml
from steps.shapes import Definition, ParameterDeclaration, ParameterValues

_MAX_LENGTH = 1024


def parse_parameters(given: Sequence[str]) -> dict[str, str]:
    """``["Epochs=3", …]`` as ``{"Epochs": "3", …}``.

    Raises:
        RequestError: for one without ``=``.
    """
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise RequestError(f"--param {text}: write NAME=VALUE")
        values[name] = value
    return values


def read_params_file(path: Path | None) -> dict[str, str]:
    """A file's values: a YAML or JSON mapping, or the AWS CLI's list of ``{"Name": …, "Value": …}``. None reads as nothing.

    Raises:
        RequestError: for a file that is not there or holds something else.
    """
    if path is None:
        return {}
    content = read_yaml(path, "file of parameters", yaml.BaseLoader)  # every value as it is written: 0123 is not a number there
    if isinstance(content, list) and all(isinstance(item, dict) and set(item) == {"Name", "Value"} for item in content):
        content = {item["Name"]: item["Value"] for item in content}
    if not isinstance(content, dict):
        raise RequestError(f"{path}: write NAME: VALUE, a line each, or a list of Name and Value")
    for name, value in content.items():
        if not isinstance(value, str) or not value:
            raise RequestError(f"{path}: {name}: should be one value, not {value!r}")
    return content


def check_parameters(definition: Definition, values: dict[str, str]) -> dict[str, str]:
    """``values`` checked against the definition, a folder's URI without the slash at its end: a graph may join one to it.

    Raises:
        RequestError: for an unknown name, a value of the wrong type, out of its range, or placed where the graph cannot read.
    """
    declared = {parameter["Name"]: parameter for parameter in definition["Parameters"]}
    for name, value in values.items():
        if name not in declared:
            close = get_close_matches(name, declared, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(declared)}"
            raise RequestError(f"--param {name}={value}: the pipeline has no parameter {name!r}; {hint}")
    _ranges(definition, {**defaults(definition), **{name: _typed(declared[name], value) for name, value in values.items()}})
    return {name: _plain(value, str(declared[name].get("DefaultValue", ""))) for name, value in values.items()}


def _plain(value: str, default: str) -> str:
    return value.rstrip("/") if "://" in default else value


def _typed(parameter: ParameterDeclaration, value: str) -> Any:
    name, kind = parameter["Name"], parameter["Type"]
    if len(value) > _MAX_LENGTH:
        raise RequestError(f"--param {name}: the value has {len(value)} characters, over the service's {_MAX_LENGTH}")
    try:
        match kind:
            case "Integer":
                return int(value)
            case "Float":
                return float(value)
    except ValueError:
        raise RequestError(f"--param {name}={value}: should be {'a whole number' if kind == 'Integer' else 'a number'}") from None
    choices = parameter.get("EnumValues")
    if choices and value not in choices:
        raise RequestError(f"--param {name}={value}: choose one of {', '.join(choices)}")
    _check_scheme(name, value, str(parameter.get("DefaultValue", "")))
    return value


def _check_scheme(name: str, value: str, default: str) -> None:
    """A URI stays on the kind of storage that the graph was built for: EFS is mounted by a channel, S3 is read by a job."""
    if "://" not in default or value == NOT_GIVEN:
        return
    scheme, built_for = Uri.parse(value).scheme, Uri.parse(default).scheme
    if scheme != built_for:
        raise RequestError(
            f"--param {name}={value}: this pipeline was built to read {built_for}:// there"
            + ("; a Processing job cannot mount EFS" if scheme == "efs" else "")
            + "; change the YAML and upsert"
        )


def _problems(definition: Definition, values: ParameterValues) -> list[tuple[str, str]]:
    return [
        *setting_problems(definition, values),
        *volume_problems(definition, values),
        *request_problems(definition, values),
    ]


def _ranges(definition: Definition, values: ParameterValues) -> None:
    for name, value in values.items():
        if name.endswith("InstanceCount") and not 1 <= value <= 100:
            raise RequestError(f"--param {name}={value}: should be 1 to 100")
        if name.startswith("Min") and isinstance(value, float | int) and not 0 <= value <= 1:
            raise RequestError(f"--param {name}={value}: should be 0 to 1")
    # What is wrong without them too is not a fault of the values: the pipeline may have been deployed from other code than this.
    before = set(_problems(definition, defaults(definition)))
    for step, fault in _problems(definition, values):
        if (step, fault) not in before:
            raise RequestError(f"{step}: {fault}")
