"""``python -m pipelines.stop --task msi``: end an execution and the jobs that it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, ExecutionName, Kind, OptionalTask, enter, run
from pipelines.tasks import TRAIN


def stop(
    execution: ExecutionName = "latest",
    task: OptionalTask = None,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended.")] = True,
    debug: Debug = False,
) -> int:
    """Stop an execution and its jobs. What has succeeded stays, and pipelines.retry resumes from there."""
    from pathology.contracts.errors import RequestError

    from pipelines.service.executions import ENDED, describe, find
    from pipelines.service.following import poll_states
    from pipelines.service.interruption import goes_on

    session = enter(environment)
    arn = find(session, task, execution, kind)
    status = describe(session, arn)["PipelineExecutionStatus"]
    if status in ENDED:
        raise RequestError(f"execution {arn} has ended already: {status}")
    session.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    print(f"stopping {arn}", flush=True)
    if wait:
        with goes_on(session, arn, stopping=True):
            *_, state = poll_states(session, arn)
        print(f"execution {state.status}{': ' + state.reason if state.reason else ''}")
    return 0


if __name__ == "__main__":
    run(stop)
