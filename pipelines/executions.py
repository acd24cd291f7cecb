"""``python -m pipelines.executions --task msi``: a pipeline's executions, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN

if TYPE_CHECKING:
    from rich.text import Text

    from pipelines.service.executions import ExecutionState
    from pipelines.service.outcomes import Outcome

WIDE = 100
"""Columns of a terminal from which on scores come with their intervals."""


def executions(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    limit: Annotated[int, typer.Option("--most", help="How many to show.", min=1)] = 20,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """List a pipeline's executions with score and version, newest first. Of each it makes four calls at most."""
    from pipelines.service.executions import recent
    from pipelines.service.outcomes import outcomes
    from pipelines.tables import print_json

    session = enter(environment)
    states = recent(session, task, limit, kind)
    found = outcomes(session, states)
    if json:
        print_json([{**state.as_json(), **one.as_json()} for state, one in zip(states, found, strict=True)])
    else:
        _print(states, found)
    return 0


def _print(states: list[ExecutionState], found: list[Outcome]) -> None:
    from pipelines.tables import columns, cut, print_table, short_time, status_text, table
    from pipelines.version_tables import score_cells, score_heading

    score, level = score_heading(found)
    wide = columns() >= WIDE
    rows: list[tuple[str | Text, ...]] = [
        (
            state.identity,
            status_text(state.status),
            short_time(state.started),
            *score_cells(one)[: 1 + wide],
            one.words,
            _given_name(state),
        )
        for state, one in zip(states, found, strict=True)
    ]
    headings = ("Execution", "Status", "Started", score, *([level] if wide else []), "Version", "Name")
    print_table(table(headings, rows, right=(score,)))
    for state in states:
        if state.reason:
            print(cut(f"{state.identity}: {' '.join(state.reason.split())}"))
    troubles = [one.trouble for one in found if one.trouble]
    if troubles:
        print(f"what {len(troubles)} of {len(found)} came to cannot be read whole: {troubles[0]}")


def _given_name(item: ExecutionState) -> str:
    """The name that somebody gave it; nothing for the one that a local run makes of its id."""
    return "" if item.name == f"execution-{item.identity}" else item.name


if __name__ == "__main__":
    run(executions)
