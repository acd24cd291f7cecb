"""``python -m pipelines.watch --task msi``: follow an execution to its end."""

from __future__ import annotations

from pipelines.cli import Debug, EnvironmentName, ExecutionName, Json, Kind, OptionalTask, enter, run
from pipelines.tasks import TRAIN


def watch(
    execution: ExecutionName = "latest",
    task: OptionalTask = None,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Follow an execution to its end. Exit 0: succeeded, 1: failed, 2: refused, 3: stopped. With --json a line per change."""
    from pipelines.service.executions import find
    from pipelines.service.following import follow, follow_to_the_end

    session = enter(environment)
    arn = find(session, task, execution, kind)
    if json:
        return follow(session, arn, as_json=True).exit_code
    return follow_to_the_end(session, arn)


if __name__ == "__main__":
    run(watch)
