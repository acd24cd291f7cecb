"""``python -m pipelines.logs --task msi TrainMsi --follow``: what a step's job says."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, OptionalTask, enter, run
from pipelines.tasks import TRAIN


def logs(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[EXECUTION] STEP",
            help="An execution's id or ARN, the latest when left out; and the step, such as TrainMsi.",
            show_default=False,
        ),
    ],
    task: OptionalTask = None,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the step has ended.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Print the log of a step's job. With several hosts each line stands behind its host's name; with --json a line of JSON each."""
    from pathology.contracts.errors import RequestError

    from pipelines.service.executions import LATEST, find
    from pipelines.service.interruption import goes_on
    from pipelines.service.step_log import lines_of
    from pipelines.tables import print_json

    if len(words) > 2:
        raise RequestError(f"{' '.join(words)}: give an execution, or none for the latest, and one step")
    step, execution = words[-1], words[0] if len(words) == 2 else LATEST
    session = enter(environment)
    arn = find(session, task, execution, kind)
    with goes_on(session, arn) if follow else nullcontext():
        for line in lines_of(session, arn, step, follow=follow):
            if json:
                print_json(line.as_json(), indent=None)
            else:
                print(line, flush=follow)
    return 0


if __name__ == "__main__":
    run(logs)
