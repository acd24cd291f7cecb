"""``python -m pipelines.approve --task msi 3 --note "…"``: let a model version be used."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Kind, Note, Task, VersionName, enter, run
from pipelines.tasks import TRAIN


def approve(
    task: Task,
    given: VersionName,
    note: Note,
    accept_warning: Annotated[
        list[str] | None,
        typer.Option("--accept-warning", help="A warning that forbids its use, by name; may be repeated.", show_default=False),
    ] = None,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    debug: Debug = False,
) -> int:
    """Approve a model version, with a note for whoever asks why. What a warning forbids is refused until that is accepted by name.

    A card or a source that it lacks is written too.
    """
    from pipelines.service.completing import complete
    from pipelines.service.decisions import APPROVED, check_note, check_warnings, decide
    from pipelines.service.versions import find
    from pipelines.version_tables import decided

    text = check_note(note)
    session = enter(environment)
    version = find(session, task, given, kind)
    check_warnings(version, accept_warning or ())
    completed = list(complete(session, version))
    print(decided(version, decide(session, version, APPROVED, text, accept_warning or ())))
    for line in completed:
        print(line)
    return 0


if __name__ == "__main__":
    run(approve)
