"""``python -m pipelines.compare --task msi 3 approved``: two models on the same test items."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN

_NAMES = "a version's number or ARN, latest, approved, or an execution's id or ARN."


def compare(
    task: Task,
    first: Annotated[str, typer.Argument(metavar="A", help=f"A model: {_NAMES}", show_default=False)],
    second: Annotated[str, typer.Argument(metavar="B", help=f"Another: {_NAMES}", show_default=False)],
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write it to this file too, as a page of its own.", show_default=False)
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Compare two models on the test items that both answered. Two that cannot be compared are no error: it says why."""
    from pipelines.comparison_tables import print_comparison
    from pipelines.service.comparing import compare as compare_models
    from pipelines.service.comparing import named
    from pipelines.tables import print_json

    session = enter(environment)
    found = compare_models(session, task, *(named(session, task, given, kind) for given in (first, second)))
    if html is not None:
        from pathology.contracts.storage import atomic_write

        from pipelines.pages.comparison import comparison_page

        atomic_write(html, comparison_page(session, found).encode())
    if json:
        print_json(found.as_json(session))
    else:
        print_comparison(found)
        if html is not None:
            print(f"\npage: {html}")
    return 0


if __name__ == "__main__":
    run(compare)
