"""``python -m pipelines.start --task msi --param Epochs=5``: start an execution and follow it to its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Parallelism, Task, enter, run
from pipelines.tasks import TRAIN

if TYPE_CHECKING:
    from pipelines.service.preview import Preview


def start(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="NAME=VALUE, as often as needed.")] = None,
    params_file: Annotated[
        Path | None, typer.Option("--params-file", help="YAML or JSON with values; --param goes before it.", show_default=False)
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            "--like",
            metavar="EXECUTION",
            help="Take over every parameter of an execution: its id, its ARN, or latest. --params-file and --param go before it.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What Studio shows it as.", show_default=False)] = None,
    parallelism: Parallelism = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="STEP[,STEP…]", help="Run these steps alone, on the results of --source."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", help="With --only: an execution's id or ARN. Default: the latest.", show_default=False),
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", help="Any word: the same word starts one execution, once.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the execution to its end.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and what the cache would answer; no more.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Start an execution of a task's pipeline and follow it. Exit 0: succeeded, 1: failed, 2: refused, 3: stopped."""
    from pipelines.config import pipeline_name
    from pipelines.parameters import parse_parameters, read_params_file
    from pipelines.service.deployment import require
    from pipelines.service.following import follow_to_the_end
    from pipelines.service.preview import preview
    from pipelines.service.starting import StartRequest, request
    from pipelines.tables import print_json

    session = enter(environment)
    pipeline = require(session, pipeline_name(task, kind=kind), task)
    given = {**read_params_file(params_file), **parse_parameters(param or [])}
    steps = [step for text in only or [] for step in text.split(",") if step]
    start_request = StartRequest(
        task=task, kind=kind, values=given, like=like, name=name, parallelism=parallelism, only=steps, source=source, token=token
    )
    arguments = request(session, pipeline, start_request)
    expected = preview(session, pipeline, arguments, once=token is not None)
    if json:
        print_json(expected.as_json(), indent=2 if dry_run else None)
    else:
        _show(expected, stderr=not dry_run)
    if dry_run:
        return 0
    arn = session.sagemaker.start_pipeline_execution(**arguments)["PipelineExecutionArn"]
    if json:
        print_json({"execution": arn}, indent=None)
    else:
        print(f"execution {arn}", flush=True)
    return follow_to_the_end(session, arn, as_json=json) if wait else 0


def _show(expected: Preview, *, stderr: bool) -> None:
    """Beside what is started it goes to standard error, so that the first line of output still is the execution."""
    from pipelines.tables import preview_table, print_table

    print_table(preview_table(expected.steps), stderr=stderr)
    for note in expected.lines():
        print(note, file=sys.stderr if stderr else sys.stdout, flush=True)


if __name__ == "__main__":
    run(start)
