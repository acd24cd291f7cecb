"""``python -m pipelines.executions --task msi``: a pipeline's executions, newest first."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Task, enter, run


def executions(
    task: Task,
    environment: EnvironmentName = None,
    most: Annotated[int, typer.Option("--most", help="How many to show.", min=1)] = 20,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """List a pipeline's executions, newest first."""
    from pipelines.service.executions import recent
    from pipelines.tables import print_json, print_table, short_time, status_text, table

    session = enter(environment)
    found = recent(session, task, most)
    if json:
        print_json([item.as_json() for item in found])
        return 0
    rows = [(item.identity, status_text(item.status), short_time(item.started), item.name, item.reason or "") for item in found]
    print_table(table(("Execution", "Status", "Started", "Name", "Reason"), rows))
    return 0


if __name__ == "__main__":
    run(executions)
