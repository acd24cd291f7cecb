"""``python -m pipelines.clean --task msi --older-than 90d``: what executions left behind that nothing uses any more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Task, enter, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.service.cleaning import Folder, Plan, Removal
    from pipelines.service.session import Session


def clean(
    task: Task,
    older_than: Annotated[str, typer.Option("--older-than", metavar="AGE", help="Such as 90d or 12w; 31d at least.")],
    environment: EnvironmentName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, remove it.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """List old outputs that nothing uses, or remove them. Of what is below runs/ and prepared/, by its newest object; what a model
    version or a younger execution uses stays."""
    from pathology.contracts.errors import DataError

    from pipelines.service.cleaning import Cleaning, age
    from pipelines.tables import print_json

    limit = age(older_than)
    session = enter(environment)
    cleaning = Cleaning(session, task, limit)
    plan = cleaning.plan()
    done: list[Removal] = []
    if not json:
        _show(session, plan, limit.days, yes)
    for removal in cleaning.carry_out(plan) if yes else ():
        done.append(removal)
        if not json:
            _say(session, removal)
    failed = {uri: reason for removal in done for uri, reason in removal.failed.items()}
    if json:
        print_json(_as_json(plan, done, cleaning.before, yes))
    elif yes:
        print(f"removed {_sum([removal for removal in done if removal.objects])}")
    for uri, reason in failed.items():
        print(f"{uri}: not removed: {reason}", file=sys.stderr)
    if failed:
        raise DataError(f"{len(failed)} objects could not be removed, for the reasons above: see to them, then run this again")
    last = cleaning.last if yes else plan
    if last.blind:
        raise DataError(
            f"nothing below prepared/{task} is removed, as nobody can tell what of it is used: {'; '.join(last.unreadable)}: "
            "put it back, or remove that execution's folder below runs/ if it is not needed"
        )
    return 0


def _sum(folders: Sequence[Folder | Removal]) -> str:
    from rich.filesize import decimal

    objects, size = sum(folder.objects for folder in folders), decimal(sum(folder.bytes for folder in folders))
    return f"{len(folders)} folders, {objects:,} objects, {size}"


def _show(session: Session, plan: Plan, days: int, yes: bool) -> None:
    """What would be removed, and why the rest stays."""
    from rich.filesize import decimal

    from pipelines.service.cleaning import YOUNG, now
    from pipelines.service.results import location
    from pipelines.tables import print_table, table

    rows = [
        (f"{(now() - folder.newest).days} d", f"{folder.objects:,}", decimal(folder.bytes), location(session, folder.uri))
        for folder in plan.remove
    ]
    if rows:
        print_table(table(("Age", "Objects", "Size", "Folder"), rows, right=("Age", "Objects", "Size")))
    for reason, folders in plan.reasons().items():
        print(f"kept: {_sum(folders)}: {reason}{f' than {days} days' if reason == YOUNG else ''}")
    if not yes:
        print(f"this would remove {_sum(plan.remove)}{': say --yes to do it' if rows else ''}")


def _say(session: Session, removal: Removal) -> None:
    from pipelines.service.results import location

    what = "removed" if not removal.failed else f"{len(removal.failed)} of {removal.folder.objects} objects not removed"
    print(f"{location(session, removal.folder.uri)}: {f'kept: {removal.spared}' if removal.spared else what}", flush=True)


def _as_json(plan: Plan, done: Sequence[Removal], before: object, yes: bool) -> dict[str, object]:
    return {
        "before": before,
        "removes": yes,
        "remove": [folder.as_json() for folder in plan.remove],
        "objects": sum(folder.objects for folder in plan.remove),
        "bytes": sum(folder.bytes for folder in plan.remove),
        "kept": [
            {"reason": reason, "folders": len(folders), "bytes": sum(folder.bytes for folder in folders)}
            for reason, folders in plan.reasons().items()
        ],
        "unreadable": list(plan.unreadable),
        "removed": [
            {"uri": f"{removal.folder.uri}/", "objects": removal.objects, "bytes": removal.bytes}
            for removal in done
            if removal.objects
        ],
        "spared": [{"uri": f"{removal.folder.uri}/", "reason": removal.spared} for removal in done if removal.spared],
        "failed": [{"uri": str(uri), "reason": reason} for removal in done for uri, reason in removal.failed.items()],
    }


if __name__ == "__main__":
    run(clean)
