"""``python -m pipelines.review --task msi``: a page of all of a task's model versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN


def review(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="The file to write; review-<task>.html when left out.", show_default=False)
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Write a page of a task's model versions: scores, gates, decisions."""
    from pathology.contracts.storage import atomic_write

    from pipelines.pages.review import review_page
    from pipelines.service.versions import listed
    from pipelines.tables import print_json

    session = enter(environment)
    found = listed(session, task, kind)
    path = html or Path(f"review-{task}.html")
    atomic_write(path, review_page(session, task, found).encode())
    if json:
        print_json({"page": str(path.resolve()), "versions": [version.number for version in found]})
    else:
        print(f"{len(found)} versions of {task}")
        print(f"page: {path}")
    return 0


if __name__ == "__main__":
    run(review)
