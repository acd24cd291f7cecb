"""``python -m pipelines.start --task msi --param Epochs=5``: start an execution and follow it to its end."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Task, run, say_where


def start(
    task: Task,
    environment: EnvironmentName = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="NAME=VALUE, as often as needed.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the execution to its end.")] = True,
    debug: Debug = False,
) -> int:
    """Start an execution of a task's pipeline. Exit 0: succeeded, 1: failed or stopped, 2: refused."""
    from pathology.contracts.errors import RequestError

    from pipelines.checks.settings import defaults
    from pipelines.config import load_environment, pipeline_name
    from pipelines.fingerprint import versioned
    from pipelines.following import follow
    from pipelines.parameters import parse_parameters
    from pipelines.registry import deployed
    from pipelines.results import summary
    from pipelines.session import open_session

    env = load_environment(environment)
    say_where(env)
    name = pipeline_name(task)
    session = open_session(env)
    now = deployed(session, name)
    if now is None:
        raise RequestError(f"{env.name} has no pipeline {name}: run python -m pipelines.upsert --task {task} first")
    values = parse_parameters(now["Definition"], param or [])
    values = versioned(session.store, values, defaults(now["Definition"]))
    arn = session.sagemaker.start_pipeline_execution(
        PipelineName=name,
        PipelineParameters=[{"Name": key, "Value": value} for key, value in values.items()],
        ClientRequestToken=uuid.uuid4().hex,
    )["PipelineExecutionArn"]
    print(f"execution {arn}")
    if not wait:
        return 0
    execution, steps = follow(session.sagemaker, arn, interval=0.3 if env.local else 15)
    for line in summary(session, steps):
        print(line)
    status = execution["PipelineExecutionStatus"]
    reason = execution.get("FailureReason")
    print(f"execution {status}{': ' + reason if reason else ''}")
    return 0 if status == "Succeeded" else 1


if __name__ == "__main__":
    run(start)
