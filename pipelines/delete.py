"""``python -m pipelines.delete --task msi --yes``: delete a pipeline, never data or model versions."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Kind, Task, enter, run
from pipelines.tasks import TRAIN


def delete(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, delete it.")] = False,
    debug: Debug = False,
) -> int:
    """Delete a task's pipeline and with it the list of its executions. Data, features, models and versions stay."""
    from botocore.exceptions import ClientError
    from pathology.contracts.errors import RequestError
    from pathology.contracts.refusals import is_conflict

    from pipelines.config import pipeline_name
    from pipelines.service.deployment import require

    session = enter(environment)
    name = pipeline_name(task, kind=kind)
    pipeline = require(session, name, task)
    if not yes:
        raise RequestError(f"this would delete pipeline {name} ({pipeline['PipelineArn']}): say --yes to do it")
    try:
        session.sagemaker.delete_pipeline(PipelineName=name)
    except ClientError as error:
        if is_conflict(error):
            raise RequestError(f"pipeline {name} has running executions: stop them with python -m pipelines.stop first") from None
        raise
    print(f"pipeline {name} deleted; data, features, models and model versions are where they were")
    return 0


if __name__ == "__main__":
    run(delete)
