"""``python -m pipelines.versions --task msi``: a task's model versions, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN

if TYPE_CHECKING:
    from pipelines.service.learned import Learned
    from pipelines.service.version import Version

NOT_KNOWN = 1
"""The exit code when of some version it cannot be told what it learnt from."""


def versions(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    trained_on: Annotated[
        str | None,
        typer.Option(
            "--trained-on",
            help="Say which learnt from this: a patient's, slide's or patch's id, or a sha256.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--most", help="How many to show; all when left out.", min=1, show_default=False)
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """List a task's model versions, newest first. With --trained-on it is 1 where one cannot be told."""
    from pipelines.service.learned import learned
    from pipelines.service.versions import listed
    from pipelines.tables import print_json

    session = enter(environment)
    found = listed(session, task, kind, limit)
    asked = None if trained_on is None else [learned(session, version, trained_on.strip()) for version in found]
    if json:
        rows = [version.as_json() for version in found]
        print_json(
            rows if asked is None else [{**row, "trained_on": one.as_json()} for row, one in zip(rows, asked, strict=True)]
        )
    elif asked is None or trained_on is None:
        _print(found)
    else:
        _print_learned(found, asked, trained_on)
    return NOT_KNOWN if any(one.seen is None for one in asked or ()) else 0


def _print(found: list[Version]) -> None:
    from pipelines.tables import print_table, short_time, status_text, table
    from pipelines.version_tables import at, by, score_cells, score_heading, short_status

    if not found:
        print("no version yet")
        return
    rows = [
        (
            str(item.number),
            status_text(short_status(item.status)),
            *score_cells(item),
            item.metadata.get("encoder", ""),
            (item.learned_from["table"] or "")[:6],
            *("" if item.learned_from[key] is None else str(item.learned_from[key]) for key in ("n", "positives")),
            item.execution or "",
        )
        for item in found
    ]
    columns = ("No.", "Status", *score_heading(found), "Encoder", "Cohort", "n", "Pos.", "Execution")
    print_table(table(columns, rows, right=("No.", columns[2], "n", "Pos.")))
    decided = [(item, one) for item in found if (one := item.decision)]
    if decided:
        rows = [(str(item.number), item.stage or "", one.status, by(one), at(one), one.note or "") for item, one in decided]
        print_table(table(("No.", "Stage", "Decision", "By", "At", "Note"), rows, right=("No.",), title="\nDecisions"))
    for item in found:
        if item.same_as is not None:
            print(f"version {item.number}: same as {item.same_as}")
        if item.trouble:
            print(f"version {item.number}: no scores: {item.trouble}")
    print(f"\ncohort: the beginning of its table's sha256; the latest is of {short_time(found[0].created)}")


def _print_learned(found: list[Version], asked: list[Learned], given: str) -> None:
    from pipelines.tables import print_table, status_text, table
    from pipelines.version_tables import short_status

    said = {True: "yes", False: "no", None: "not known"}
    rows = [
        (str(item.number), status_text(short_status(item.status)), said[one.seen], ", ".join(one.by) or one.why or "")
        for item, one in zip(found, asked, strict=True)
    ]
    print_table(table(("No.", "Status", "Learnt from it", "Known by, or why not"), rows, right=("No.",)))
    counts = {word: sum(one.seen is answer for one in asked) for answer, word in said.items()}
    print(
        f"{given}: {counts['yes']} of {len(found)} versions learnt from it, {counts['no']} did not, {counts['not known']} not known"
    )
    kinds = sorted({kind for one in asked for kind in one.kinds})
    if kinds:
        print(f"their lists know: {', '.join(kinds)}; slides and patches by name where the training's table names them")


if __name__ == "__main__":
    run(versions)
