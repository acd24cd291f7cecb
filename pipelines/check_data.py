"""``python -m pipelines.check_data --task msi``: what a run would make of the data, in seconds, before anything is rented."""

from __future__ import annotations

import html as markup
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import Debug, EnvironmentName, Json, Kind, Task, enter, run
from pipelines.tasks import TRAIN

if TYPE_CHECKING:
    from pathology.contracts.data_check import DataCheck
    from rich.console import Console

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{{stylesheet}}
body {{{{ margin: 0; padding: 24px; color: {{foreground}}; background: {{background}}; font-family: system-ui, sans-serif; }}}}
pre {{{{ white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; line-height: 1.45; }}}}
</style>
</head>
<body>
<h1>{title}</h1>
<pre><code>{{code}}</code></pre>
</body>
</html>
"""
WIDTH = 120
"""Columns of the page's text; a narrow screen wraps them."""


def check_data(
    task: Task,
    kind: Kind = TRAIN,
    environment: EnvironmentName = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="NAME=VALUE, as for pipelines.start.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the same as a page, for whoever made the table.", show_default=False)
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Check a task's data as its Prepare step would, and write nothing. Exit 0: a run would go on, 1: it would stop."""
    from pipelines.parameters import parse_parameters
    from pipelines.service.data_check import check_data as check
    from pipelines.tables import print_json

    found = check(enter(environment), task, kind, parse_parameters(param or []))
    if html is not None:
        _write_page(html, found, task)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        _show(found)
    return 1 if found.problems else 0


def _write_page(path: Path, found: DataCheck, task: str) -> None:
    from io import StringIO

    from pathology.contracts.storage import atomic_write
    from rich.console import Console

    page = Console(record=True, width=WIDTH, file=StringIO(), highlight=False)
    _show(found, page)
    title = markup.escape(f"Data of {task}")
    atomic_write(path, page.export_html(code_format=_PAGE.format(title=title), inline_styles=False).encode())


def _show(found: DataCheck, console: Console | None = None) -> None:
    from rich.console import Console

    from pipelines.tables import table

    out = console or Console(highlight=False, soft_wrap=True)

    def say(text: str = "", style: str = "") -> None:
        out.print(text, style=style, markup=False, highlight=False)

    if found.flow is not None:
        say("Cohort flow", "bold")
        for line in found.flow.lines():
            say(f"  {line}", "red" if line.endswith("!") else "")
        say()
    for title, names, cells in (
        ("Columns", ("What", "Column"), [(role, column) for role, column in found.columns.items()]),
        ("Labels found", ("Value", "Patients"), [(value or "missing", str(count)) for value, count in found.values.items()]),
        ("Split", ("Side", ""), list(found.parts.items())),
    ):
        if cells:
            out.print(table(names, cells, title=title))
            say()
    for note in found.notes:
        say(f"note: {note}")
    for warning in found.warnings:
        say(f"warning: {warning}", "yellow")
    for problem in found.problems:
        say(f"problem: {problem}", "red")
    say("a run would stop here" if found.problems else "a run would go on", "bold red" if found.problems else "bold green")


if __name__ == "__main__":
    run(check_data)
