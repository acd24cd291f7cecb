"""``python -m pipelines.endpoints``: what is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, OptionalTask, enter, run

if TYPE_CHECKING:
    from pipelines.service.hosting.listing import Listed


def endpoints(
    task: OptionalTask = None,
    prices: Annotated[
        Path | None,
        typer.Option("--prices", help="A csv table, instance_type and hourly: what each costs.", show_default=False),
    ] = None,
    environment: EnvironmentName = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """List what is deployed: version, status, since when, by whom. Others than deploy made are counted."""
    from pipelines.service.hosting.listing import listed
    from pipelines.service.hosting.prices import read_prices
    from pipelines.tables import print_json
    from pipelines.tasks import task_spec

    if task is not None:
        task_spec(task)
    priced = read_prices(prices) if prices is not None else {}
    session = enter(environment)
    found, others = listed(session, task, priced)
    if json:
        print_json([one.as_json() for one in found])
        return 0
    _print(found, others, priced=prices is not None)
    return 0


def _print(found: list[Listed], others: int, *, priced: bool) -> None:
    from pipelines.tables import print_table, short_time, status_text, table

    if not found:
        print("no endpoint: python -m pipelines.deploy --task T makes one of an approved version")
    else:
        rows = [
            (
                one.standing.name,
                one.standing.number,
                status_text(one.standing.status),
                short_time(one.standing.since),
                *((f"{one.hourly:.2f}" if one.hourly is not None else "?",) if priced else ()),
                (one.standing.by or "not recorded").rpartition("/")[2],
            )
            for one in found
        ]
        columns = ("Endpoint", "Version", "Status", "Since", *(("Hourly",) if priced else ()), "By")
        print_table(table(columns, rows, right=("Version", "Hourly")))
    for one in found:
        for line in _remarks(one):
            print(line)
    if others:
        what = "endpoint" if others == 1 else "endpoints"
        print(f"{others} other {what} of the account, which deploy did not make or you may not look at")


def _remarks(one: Listed) -> list[str]:
    standing = one.standing
    lines = [f"{standing.name}: {one.address}"] if one.address else [f"{standing.name}: {standing.instances} {one.instance_type}"]
    if standing.reason:
        lines.append(f"{standing.name}: {standing.reason}")
    if standing.unapproved:
        lines.append(f"warning: {standing.name} serves a version that nobody approved: {standing.unapproved}")
    return lines


if __name__ == "__main__":
    run(endpoints)
