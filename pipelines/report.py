"""``python -m pipelines.report --task msi 3``: the evaluation's report of a model version, with what is known of it now."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN


def report(
    task: Task,
    given: Annotated[
        str,
        typer.Argument(
            metavar="[VERSION]",
            help="A version's number or ARN, latest, approved, or an execution's id or ARN.",
            show_default=False,
        ),
    ] = "latest",
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The file to write; <group>-version-3.html when left out.", show_default=False)
    ] = None,
    opened: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser, where there is a terminal.")] = True,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Save and open the report of a version or an execution. At its top: status, gate, decision, who reused the evaluation."""
    from pathology.contracts.storage import atomic_write

    from pipelines.pages.report import report_page
    from pipelines.service.reporting import report as find_report
    from pipelines.tables import print_json

    session = enter(environment)
    found = find_report(session, task, given, kind)
    path = output or Path(found.file)
    atomic_write(path, report_page(session, found))
    if json:
        print_json({"page": str(path.resolve()), **found.as_json(session)})
        return 0
    version = found.version
    print(f"{found.name}: {version.status if version else f'{found.status}, no version'}")
    for note in found.notes:
        print(f"not looked at: {note}")
    print(f"page: {path}")
    if opened and sys.stdout.isatty() and not webbrowser.open(path.resolve().as_uri()):
        print("no browser opened it: open that file")
    return 0


if __name__ == "__main__":
    run(report)
