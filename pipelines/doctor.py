"""``python -m pipelines.doctor --environment dev --task msi``: whether an execution would find all it needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, run, say_where

if TYPE_CHECKING:
    from pipelines.service.health.lines import Line
    from pipelines.service.health.subject import Subject
    from pipelines.tasks.sections import Task
    from steps.environment import Environment


def doctor(
    environment: EnvironmentName = None,
    task: Annotated[str | None, typer.Option("--task", help="One task. Default: all of them.")] = None,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Instead: make a pipeline of every kind of step and field, and delete it. It runs nothing."),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Examine an environment and what every task, or one, needs of it. Changes nothing; exits 1 when there is a problem."""
    from pipelines.config import load_environment, load_training
    from pipelines.service.health.checks import run_checks
    from pipelines.tasks import NAMES

    env = load_environment(environment)
    say_where(env)
    tasks = {name: load_training(name, env) for name in ([task] if task else NAMES)}
    if probe:
        return _report(_probed(env, tasks), json)
    without_data = [name for name in tasks if env.local and not task and not _lies_here(tasks[name])]
    lines = run_checks(_subject(env, {name: tasks[name] for name in tasks if name not in without_data}), debug)
    if env.local:
        lines = _of_this_machine(lines, without_data)
    return _report(lines, json)


def _report(lines: list[Line], json: bool) -> int:
    """Print the lines; the exit code that they come to."""
    from pipelines.tables import print_json

    if json:
        print_json([line.as_json() for line in lines])
    else:
        _print(lines)
    return 1 if any(line.state == "problem" for line in lines) else 0


def _probed(env: Environment, tasks: dict[str, Task]) -> list[Line]:
    """What Pipelines says of the tasks' definitions and of every use of JsonGet.

    Raises:
        RequestError: for the local environment, which has no service to ask.
    """
    from pathology.contracts.errors import RequestError

    from pipelines.builder import build
    from pipelines.service.health.probe import probe
    from pipelines.service.health.subject import open_clients

    if env.local:
        raise RequestError("--probe asks the service, and the local environment has none: name another with --environment")
    definitions = {name: build(name, settings, env).definition for name, settings in tasks.items()}
    return probe(open_clients(env.region)["sagemaker"], env, definitions)


def _lies_here(settings: Task) -> bool:
    """Whether any of a task's data is in the local environment."""
    from pathology.contracts.uris import Uri

    from pipelines.service.session import state_folder

    data = (Uri.parse(uri) for key, uri in settings.data() if not key.startswith("encoder."))
    return any(uri.under(state_folder()).is_symlink() or uri.under(state_folder()).exists() for uri in data)


def _of_this_machine(lines: list[Line], without_data: list[str]) -> list[Line]:
    """The lines with one's own files by their paths, and one for each task that has nothing here yet, which is no fault."""
    from pipelines.local.own import with_own_paths
    from pipelines.service.health.lines import unknown
    from pipelines.service.session import state_folder

    root = state_folder()
    absent = [unknown(name, f"none of its data lie here yet: make demo TASK={name}, or with your own") for name in without_data]
    return [*(replace(line, says=with_own_paths(root, line.says)) for line in lines), *absent]


def _subject(env: Environment, tasks: dict[str, Task]) -> Subject:
    from pathology.contracts.storage import FolderStore, S3Store

    from pipelines.builder import build
    from pipelines.service.health.subject import Subject, job_needs, open_clients
    from pipelines.service.session import state_folder

    clients = {} if env.local else open_clients(env.region)
    store = FolderStore(state_folder()) if env.local else S3Store(clients["s3"])
    jobs = {name: tuple(job_needs(build(name, settings, env).definition)) for name, settings in tasks.items()}
    return Subject(env, clients, store, tasks, jobs)


def _print(lines: list[Line]) -> None:
    from rich.text import Text

    from pipelines.tables import print_table, table

    colours = {"ok": "green", "problem": "red", "unknown": "yellow"}
    rows = [(line.check, Text(line.state, style=colours[line.state]), line.says) for line in lines]
    print_table(table(("Check", "State", "What was seen, what to do"), rows))
    print(", ".join(f"{sum(line.state == state for line in lines)} {state}" for state in colours))


if __name__ == "__main__":
    run(doctor)
