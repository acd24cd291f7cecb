"""``python -m pipelines.start --task msi --param Epochs=5``: start an execution and follow it to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Kind, Parallelism, Task, enter, run
from pipelines.tasks import TRAIN


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
    debug: Debug = False,
) -> int:
    """Start an execution of a task's pipeline and follow it. Exit 0: succeeded, 1: failed, 2: refused, 3: stopped."""
    from pipelines.config import pipeline_name
    from pipelines.parameters import parse_parameters, read_params_file
    from pipelines.service.deployment import require
    from pipelines.service.following import follow_to_the_end
    from pipelines.service.starting import StartRequest, request

    session = enter(environment)
    pipeline = require(session, pipeline_name(task, kind=kind), task)
    given = {**read_params_file(params_file), **parse_parameters(param or [])}
    steps = [step for text in only or [] for step in text.split(",") if step]
    start_request = StartRequest(
        task=task, values=given, like=like, name=name, parallelism=parallelism, only=steps, source=source, token=token
    )
    arn = session.sagemaker.start_pipeline_execution(**request(session, pipeline, start_request))["PipelineExecutionArn"]
    print(f"execution {arn}", flush=True)
    return follow_to_the_end(session, arn) if wait else 0


if __name__ == "__main__":
    run(start)
