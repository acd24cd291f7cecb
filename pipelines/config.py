"""What people write: the environment they run in and what a task does by default, both YAML, both checked key by key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from pathology.contracts.errors import RequestError

from pipelines.tasks import TRAIN, task_spec
from pipelines.tasks.parameters import parameters
from pipelines.tasks.sections import Task
from steps.environment import Environment, Images, Network

REPOSITORY = Path(__file__).resolve().parents[1]
DEFINITIONS = REPOSITORY / "pipeline_definitions"
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


def read_yaml(path: Path, what: str, loader: Any = yaml.SafeLoader) -> Any:
    """What a YAML (or JSON) file holds. Raises RequestError, saying ``what`` it should be, when it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506 SafeLoader, or BaseLoader, which knows less
    except FileNotFoundError:
        raise RequestError(f"{path}: there is no such {what}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RequestError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None


def _mapping(path: Path, what: str) -> dict[str, Any]:
    content = read_yaml(path, what)
    if not isinstance(content, dict):
        raise RequestError(f"{path}: should be a YAML mapping of keys")
    return content


def load_environment(given: str | None) -> Environment:
    """The environment from a file or a name in environments/, else ``PATHOLOGY_ENVIRONMENT``, else the built-in local one.

    Raises:
        RequestError: for a file that is not there or a key that is wrong.
    """
    given = given or os.environ.get(ENVIRONMENT_VARIABLE) or LOCAL.name
    if given == LOCAL.name:
        return LOCAL
    named = REPOSITORY / "environments" / f"{given}.yaml"
    path = named if named.is_file() and not Path(given).is_file() else Path(given)
    return Environment.parse(_mapping(path, "environment"), str(given))


def _parse_task(task: str, folder: Path, kind: str) -> tuple[Task, str]:
    spec = task_spec(task)
    model, path = spec.pipeline(kind).model, spec.definition(folder, kind).with_suffix(".yaml")
    return model.parse(_mapping(path, "task"), path.name), path.name


def pipeline_name(task: str, folder: Path = DEFINITIONS, kind: str = TRAIN) -> str:
    """The name that a task's pipeline of a kind has in the service.

    Raises:
        RequestError: for an unknown task or kind, or a YAML that is wrong.
    """
    return _parse_task(task, folder, kind)[0].pipeline


def load_task(task: str, env: Environment, folder: Path = DEFINITIONS, kind: str = TRAIN) -> Task:
    """The YAML of a task's pipeline, filled in for an environment, every hyperparameter checked.

    Raises:
        RequestError: for an unknown task, kind, key, hyperparameter or value.
    """
    parsed, where = _parse_task(task, folder, kind)
    try:
        resolved = parsed.resolve_uris(env)
        parameters(resolved)  # refuses settings that share a parameter and differ
        return resolved
    except RequestError as error:
        raise RequestError(f"{where}: {error}") from None
