"""``python -m pipelines.undeploy --task msi --yes``: take an endpoint away, never its version."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import Debug, EndpointName, EnvironmentName, Kind, Task, enter, run
from pipelines.tasks import TRAIN


def undeploy(
    task: Task,
    name: EndpointName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, take it away.")] = False,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    debug: Debug = False,
) -> int:
    """Take an endpoint away, and what it cost with it. The version stays, and can be deployed again."""
    import sys

    from pathology.contracts.errors import RequestError

    from pipelines.config import load_training
    from pipelines.service.hosting.plan import endpoint_name
    from pipelines.service.hosting.removing import removable
    from pipelines.service.hosting.removing import undeploy as remove

    session = enter(environment)
    found = removable(session, task, endpoint_name(load_training(task, session.environment, kind=kind), name))
    if not yes:
        raise RequestError(f"this would take endpoint {found.name} away, which serves version {found.number}: say --yes to do it")
    remove(session, found, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"endpoint {found.name} is gone; version {found.number} of {task} is where it was")
    return 0


if __name__ == "__main__":
    run(undeploy)
