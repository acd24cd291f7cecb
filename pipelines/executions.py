"""``python -m pipelines.executions --task msi``: a pipeline's executions, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN

if TYPE_CHECKING:
    from pipelines.service.executions import ExecutionState


def executions(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    limit: Annotated[int, typer.Option("--most", help="How many to show.", min=1)] = 20,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """List a pipeline's executions, newest first."""
    from pipelines.service.executions import recent
    from pipelines.tables import print_json, print_table, short_time, shortened, status_text, table

    session = enter(environment)
    states = recent(session, task, limit, kind)
    if json:
        print_json([item.as_json() for item in states])
        return 0
    rows = [
        (item.identity, status_text(item.status), short_time(item.started), _given_name(item), shortened(item.reason))
        for item in states
    ]
    print_table(table(("Execution", "Status", "Started", "Name", "Reason"), rows))
    return 0


def _given_name(item: ExecutionState) -> str:
    """The name that somebody gave it; nothing for the one that a local run makes of its id."""
    return "" if item.name == f"execution-{item.identity}" else item.name


if __name__ == "__main__":
    run(executions)
