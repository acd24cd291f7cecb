"""A task's data checked by its own Prepare command, as a process on this machine: one rule, whoever asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pathology.contracts.data_check import DataCheck
from pathology.contracts.errors import DataError, RequestError
from pathology.contracts.storage import FolderStore, Store

from pipelines.builder import build
from pipelines.checks.settings import defaults
from pipelines.config import REPOSITORY, load_task
from pipelines.local.expressions import Scope
from pipelines.parameters import check_parameters
from pipelines.service.session import Session
from pipelines.tasks import task_spec
from steps.shapes import Definition, Request

FLAG = "--check"


def check_data(session: Session, task: str, kind: str, values: Mapping[str, str]) -> DataCheck:
    """What the Prepare command of a task's pipeline says of the data that ``values`` and the YAML name.

    Raises:
        RequestError: for values that the pipeline does not take, or libraries that Prepare needs and that are not installed here.
        DataError: when the check itself fails.
    """
    definition = build(task, load_task(task, session.environment, kind=kind), session.environment, kind).definition
    command = next(iter(task_spec(task).pipeline(kind).commands))
    given = check_parameters(definition, dict(values))
    with tempfile.TemporaryDirectory(prefix="check-data-") as folder:
        request = _request(definition, command, {**defaults(definition), **given}, session.store)
        _lay_out(request, Path(folder))
        return _run(command, Path(folder), session.store)


def _request(definition: Definition, command: str, parameters: Mapping[str, Any], store: Store) -> Request:
    """The request of the step that runs ``command``, with every value filled in."""
    step = next(
        step
        for step in definition["Steps"]
        if command in step["Arguments"].get("AppSpecification", {}).get("ContainerArguments", [])
    )
    names = ("CurrentDateTime", "PipelineArn", "PipelineExecutionArn", "PipelineExecutionId", "PipelineName", "StartDateTime")
    scope = Scope(dict(parameters), {f"Execution.{name}": "check" for name in names}, store, {})
    request: Request = scope.resolve(step["Arguments"])
    return request


def _lay_out(request: Request, root: Path) -> None:
    """The job's contract files. Prepare reads its data through the store, where they lie."""
    config = root / "config"
    config.mkdir(parents=True)
    (config / "processingjobconfig.json").write_text(json.dumps({"ProcessingJobName": "check", **request}))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))


def _run(command: str, root: Path, store: Store) -> DataCheck:
    places = {"PATHOLOGY_ROOT": str(root), **({"PATHOLOGY_URI_ROOT": str(store.root)} if isinstance(store, FolderStore) else {})}
    environment = {**os.environ, **places, "PYTHONPATH": str(REPOSITORY / "containers")}
    done = subprocess.run(
        [sys.executable, "-m", f"pathology.commands.{command}", FLAG],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        if "ModuleNotFoundError" in done.stderr:
            raise RequestError(
                f"{lines[-1].removeprefix('error: ')}: checking data needs Prepare's libraries: pip install '.[training]'"
            )
        failure = RequestError if done.returncode == RequestError.exit_code else DataError
        raise failure(lines[-1].removeprefix("error: "))
    check: DataCheck = DataCheck.from_json(done.stdout.encode(), f"what {command} {FLAG} printed")
    return check
