"""``python -m pipelines.retry --task msi``: resume an execution that failed or was stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, ExecutionName, Kind, OptionalTask, Parallelism, enter, run
from pipelines.tasks import TRAIN


def retry(
    execution: ExecutionName = "latest",
    task: OptionalTask = None,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    parallelism: Parallelism = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the execution to its end.")] = True,
    debug: Debug = False,
) -> int:
    """Run what failed or was stopped, and what follows it. Nothing that succeeded; exit codes as of pipelines.start."""
    from pathology.contracts.errors import RequestError

    from pipelines.service.executions import describe, find
    from pipelines.service.following import follow_to_the_end

    session = enter(environment)
    arn = find(session, task, execution, kind)
    status = describe(session, arn)["PipelineExecutionStatus"]
    if status not in ("Failed", "Stopped"):
        raise RequestError(f"execution {arn} is {status}: only one that failed or was stopped is retried")
    parallel = {"ParallelismConfiguration": {"MaxParallelExecutionSteps": parallelism}} if parallelism else {}
    session.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn, **parallel)
    print(f"execution {arn}", flush=True)
    return follow_to_the_end(session, arn) if wait else 0


if __name__ == "__main__":
    run(retry)
