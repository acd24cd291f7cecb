"""What people write: the environment they run in and what a task does by default, both YAML, both checked key by key."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pathology.contracts.errors import RequestError

from pipelines.checks.values import read_value
from pipelines.local.defaults import FOLDER, read_defaults
from pipelines.service.session import state_folder
from pipelines.tasks import TRAIN, task_spec
from pipelines.tasks.parameters import keys_of, parameters, with_values
from pipelines.tasks.sections import PipelineYaml, Task
from steps.environment import Environment, Images, Network
from steps.shapes import ParameterDeclaration

REPOSITORY = Path(__file__).resolve().parents[1]
DEFINITIONS = REPOSITORY / "pipeline_definitions"
ENVIRONMENTS = REPOSITORY / "environments"
EXAMPLE = ENVIRONMENTS / "example.yaml"
EXAMPLE_ACCOUNT = "111122223333"
"""The account of AWS's documentation, which nobody has."""
ENVIRONMENT_VARIABLE = "PATHOLOGY_ENVIRONMENT"

LOCAL = Environment(
    name="local",
    local=True,
    region="us-east-1",
    account="000000000000",
    pipeline_role="arn:aws:iam::000000000000:role/local",
    job_role="arn:aws:iam::000000000000:role/local",
    bucket="local",
    file_system="fs-00000000",
    network=Network(subnets=("subnet-00000000",), security_groups=("sg-00000000",)),
    images=Images(cucim_tiler="cucim-tiler@sha256:" + "0" * 64, training="training@sha256:" + "0" * 64),
)
"""Nothing to configure: buckets and file systems are folders, jobs are processes, no image is ever pulled."""


def read_yaml(path: Path, what: str, loader: Any = yaml.CSafeLoader) -> Any:
    """What a YAML (or JSON) file holds. Raises RequestError, saying ``what`` it should be, when it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506 CSafeLoader, or CBaseLoader, which knows less
    except FileNotFoundError:
        raise RequestError(f"{path}: there is no such {what}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None


def _mapping(path: Path, what: str) -> dict[str, Any]:
    content = read_yaml(path, what)
    if not isinstance(content, dict):
        raise RequestError(f"{path}: should be a YAML mapping of keys")
    return content


def load_environment(given: str | None, *, filled_in: bool = False) -> Environment:
    """The environment from a file or a name in environments/, else ``PATHOLOGY_ENVIRONMENT``, else the built-in local one.

    The local one comes with the defaults that its state's folder holds. ``filled_in``: for what is deployed, which needs values
    of one's own in place of the example's.

    Raises:
        RequestError: for a file that is not there, a key that is wrong, or placeholders where they are not wanted.
    """
    given = given or os.environ.get(ENVIRONMENT_VARIABLE) or LOCAL.name
    if given == LOCAL.name:
        return LOCAL.model_copy(update={"defaults": read_defaults(state_folder())})
    named = ENVIRONMENTS / f"{given}.yaml"
    path = named if named.is_file() and not Path(given).is_file() else Path(given)
    content = _mapping(path, "environment")
    env = Environment.parse(content, str(given))
    if filled_in and path.resolve() != EXAMPLE and (left := list(_placeholders(content, _mapping(EXAMPLE, "environment")))):
        raise RequestError(
            f"{given}: {', '.join(left)}: still the example's, of {EXAMPLE.name}: put your own in "
            "(python -m pipelines.environment prints them)"
        )
    return env


_NOT_PLACEHOLDERS = frozenset({"region", "tags"})
"""Keys of the example that may well be somebody's own."""
_ZERO_DIGEST = "sha256:" + "0" * 64


def _placeholders(content: dict[str, Any], example: dict[str, Any]) -> Iterator[str]:
    """The keys whose values, or parts of them, are the example's."""
    for key, value in content.items():
        if key not in _NOT_PLACEHOLDERS and key in example:
            if isinstance(value, dict):
                yield from (f"{key}.{below}" for below in _placeholders(value, example[key]))
            elif _is_placeholder(value, example[key]):
                yield key


def _is_placeholder(value: Any, example: Any) -> bool:
    if isinstance(value, list):
        return any(item in example for item in value)
    text = str(value)
    return value == example or EXAMPLE_ACCOUNT in text or _ZERO_DIGEST in text


def _parse_task(task: str, folder: Path, kind: str, defaults: Mapping[str, str] | None = None) -> tuple[PipelineYaml, str]:
    spec = task_spec(task)
    model, path = spec.pipeline(kind).model, spec.definition(folder, kind).with_suffix(".yaml")
    content = _mapping(path, "task")
    parsed, where = model.parse(content, path.name), path.name
    if defaults:
        where = f"{FOLDER}/{task}.json of the local environment over {path.name}"
        _read_strictly(parsed, defaults, where)
        parsed = model.parse(with_values(content, model, defaults), where)
    return parsed, where


def _read_strictly(task: PipelineYaml, defaults: Mapping[str, str], where: str) -> None:
    """The YAML's model would take more than the pipeline does, such as 1_000."""
    for spec in parameters(task):
        if spec.name in defaults:
            declared: ParameterDeclaration = {"Name": spec.name, "Type": spec.type, "EnumValues": list(spec.choices)}
            try:
                read_value(declared, defaults[spec.name])
            except RequestError as error:
                raise RequestError(f"{where}: {error}") from None


def _say_what_is_gone(task: str, kind: str, defaults: Mapping[str, str]) -> None:
    """Other pipelines of a task have some of its parameters; the one that the defaults are of had them all."""
    if kind == TRAIN:
        for name in sorted(set(defaults) - set(keys_of(task_spec(task).pipeline(kind).model))):
            print(f"the local environment has {name}={defaults[name]} by default, which {task} has no more", file=sys.stderr)


def pipeline_name(task: str, folder: Path = DEFINITIONS, kind: str = TRAIN) -> str:
    """The name that a task's pipeline of a kind has in the service.

    Raises:
        RequestError: for an unknown task or kind, or a YAML that is wrong.
    """
    return _parse_task(task, folder, kind)[0].pipeline


def group_name(task: str, folder: Path = DEFINITIONS, kind: str = TRAIN) -> str:
    """The name of the model package group that a task's pipeline of a kind registers in.

    Raises:
        RequestError: for an unknown task or kind, one that registers nothing, or a YAML that is wrong.
    """
    return _that_trains(_parse_task(task, folder, kind)[0], task, kind).register_as.group


def _that_trains(parsed: PipelineYaml, task: str, kind: str) -> Task:
    if not isinstance(parsed, Task):
        raise RequestError(f"task {task}'s pipeline {kind} registers no versions: leave --pipeline {kind} out")
    return parsed


def load_training(task: str, env: Environment, kind: str = TRAIN) -> Task:
    """As :func:`load_task`, of a pipeline that registers versions.

    Raises:
        RequestError: as there, and for a pipeline that registers none.
    """
    return _that_trains(load_task(task, env, kind=kind), task, kind)


def load_task(task: str, env: Environment, folder: Path = DEFINITIONS, kind: str = TRAIN) -> PipelineYaml:
    """The YAML of a task's pipeline, filled in for an environment, every hyperparameter checked; where the environment has
    defaults of its own, with these.

    Raises:
        RequestError: for an unknown task, kind, key, hyperparameter or value.
    """
    defaults = env.defaults.get(task, {})
    parsed, where = _parse_task(task, folder, kind, defaults)
    _say_what_is_gone(task, kind, defaults)
    try:
        resolved = parsed.resolve_uris(env)
        parameters(resolved)  # refuses settings that share a parameter and differ
        return resolved
    except RequestError as error:
        raise RequestError(f"{where}: {error}") from None
