"""``python -m pipelines.show --task msi``: all there is to know of an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.cli import Debug, EnvironmentName, ExecutionName, Json, Kind, OptionalTask, enter, run
from pipelines.tasks import TRAIN

if TYPE_CHECKING:
    from pipelines.service.overview import Overview
    from pipelines.service.session import Session


def show(
    execution: ExecutionName = "latest",
    task: OptionalTask = None,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Show an execution's parameters, steps, outputs, metrics, version."""
    from pipelines.service.executions import find
    from pipelines.service.overview import overview
    from pipelines.tables import print_json

    session = enter(environment)
    details = overview(session, find(session, task, execution, kind))
    if json:
        print_json(details.as_json())
    else:
        _print(session, details)
    return 0


def _print(session: Session, details: Overview) -> None:
    from pathology.contracts.uris import Uri

    from pipelines.service.following import ending
    from pipelines.service.results import location, summary
    from pipelines.tables import print_table, short_time, steps_table, table

    state = details.state
    print(state.arn)
    print(f"{state.name}, started {short_time(state.started)}, {state.seconds} s")
    parameters = [
        (name, "given" if name in details.given else "default", _with_path(session, value))
        for name, value in details.parameters.items()
    ]
    print_table(table(("Parameter", "", "Value"), parameters, title="\nParameters"))
    print_table(steps_table(state.steps, title="\nSteps"))
    print("\nOutputs")
    for step, named in details.outputs.items():
        for name, uri in named.items():
            print(f"{step} {name}: {location(session, Uri.parse(uri))}")  # in one piece, to be copied
    metrics = [(step, name, f"{value:.4g}") for step, named in details.log_metrics.items() for name, value in named.items()]
    if metrics:
        print_table(table(("Step", "Last value of", ""), metrics, title="\nMetrics in logs"))
    print()
    for line in (*summary(session, state), *ending(state)):
        print(line)


def _with_path(session: Session, value: str) -> str:
    """A value as it can be given again, and the path that a URI of one's own files stands for."""
    path = session.in_own_paths(value)
    return value if path == value else f"{value} ({path})"


if __name__ == "__main__":
    run(show)
