"""Values that a person gives to a run: read as the parameter's type, refused before anything starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pathology.contracts.errors import RequestError
from pathology.contracts.settings import NOT_GIVEN
from pathology.contracts.uris import Uri

from pipelines.checks.settings import setting_problems
from pipelines.checks.shapes import request_problems
from pipelines.checks.values import read_values, refuse_faults, shown
from pipelines.checks.volumes import volume_problems
from pipelines.config import read_yaml
from steps.shapes import Definition, ParameterValues

MAX_INSTANCES = 100
"""Of a job: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProcessingClusterConfig.html."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


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
    content = read_yaml(path, "file of parameters", yaml.CBaseLoader)  # every value as it is written: 0123 is not a number there
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
        RequestError: for an unknown name, a value of the wrong type, out of its range, placed where the graph cannot read, or one that
            the service would refuse in a step's request.
    """
    declared = {parameter["Name"]: parameter for parameter in definition["Parameters"]}
    for name, value in values.items():
        if name not in declared:
            close = get_close_matches(name, declared, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(declared)}"
            raise RequestError(f"parameter {name}={shown(value)}: the pipeline has no parameter {shown(name)}; {hint}")
    typed = read_values(definition, values)
    for name, value in values.items():
        fault = _place_fault(value, str(declared[name].get("DefaultValue", ""))) or _range_fault(name, typed[name])
        if fault:
            raise RequestError(f"parameter {name}={shown(value)}: {fault}")
    refuse_faults(definition, typed, values, _problems)
    return {name: _plain(value, str(declared[name].get("DefaultValue", ""))) for name, value in values.items()}


def _plain(value: str, default: str) -> str:
    return value.rstrip("/") if "://" in default else value


def _place_fault(value: str, default: str) -> str | None:
    """What is wrong with a URI as a place. It stays on the kind of storage that the graph was built for: EFS is mounted by a channel,
    S3 is read by a job; and it names a folder or an object, not all that a bucket holds."""
    if value == NOT_GIVEN or not ("://" in default or _SCHEME.match(value)):
        return None
    try:
        uri = Uri.parse(value)
    except RequestError as error:
        return str(error)
    if uri.scheme == "s3" and not _BUCKET.fullmatch(uri.root):
        return f"{uri.root!r} is not a valid bucket: one has 3 to 63 small letters, digits, hyphens and dots"
    if not uri.path:
        return (
            f"is a whole {'bucket' if uri.scheme == 's3' else 'file system'}: name a folder or an object in it, as {uri}/folder"
        )
    if "://" not in default:
        return None
    built_for = Uri.parse(default).scheme
    if uri.scheme != built_for:
        cannot = "; a Processing job cannot mount EFS" if uri.scheme == "efs" else ""
        return f"this pipeline was built to read {built_for}:// there{cannot}; change the YAML and upsert"
    return None


def _range_fault(name: str, value: Any) -> str | None:
    if name.endswith("InstanceCount") and not 1 <= value <= MAX_INSTANCES:
        return f"should be 1 to {MAX_INSTANCES}"
    if name.startswith("Min") and isinstance(value, float | int) and not 0 <= value <= 1:
        return "should be 0 to 1"
    return None


def _problems(definition: Definition, values: ParameterValues) -> Iterator[tuple[str, str]]:
    yield from setting_problems(definition, values)
    yield from volume_problems(definition, values)
    yield from request_problems(definition, values)
