"""What verbs print: tables that fit 80 columns, and JSON for scripts."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pipelines.service.executions import StepState
    from pipelines.service.preview import Forecast

_COLOURS = {
    "Succeeded": "green",
    "Failed": "red",
    "CompletedWithFailures": "red",
    "Stopped": "yellow",
    "Stopping": "yellow",
    "Executing": "cyan",
    "Starting": "cyan",
}
_COLUMNS = 80
_MAX_REASON = 40


def print_json(value: Any, indent: int | None = 2) -> None:
    """Strict JSON on standard output; times in ISO 8601."""
    print(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False, default=_plain), flush=True)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in JSON")


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(status, style=_COLOURS.get(status, ""))


def short_time(moment: datetime) -> str:
    """A moment in the local time zone, to the minute."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], right: Sequence[str] = (), title: str = "") -> Table:
    """A plain table; the columns named in ``right`` hold numbers, the last column takes what space is left."""
    view = Table(box=None, pad_edge=False, header_style="bold", title=title or None, title_justify="left", title_style="bold")
    for column in columns:
        last = column == columns[-1]
        view.add_column(column, justify="right" if column in right else "left", overflow="fold", ratio=1 if last else None)
    for row in rows:
        view.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return view


def shortened(reason: str | None) -> str:
    """As much of a reason as a table has room for: two lines in 80 columns."""
    text = reason or ""
    return text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 1] + "…"


def columns() -> int:
    """Of the terminal, or 80 where there is none."""
    return Console().width


def cut(line: str) -> str:
    """As much of a line as the terminal has columns."""
    most = columns()
    return line if len(line) <= most else f"{line[: most - 1]}…"


def say(line: str) -> None:
    """A sentence, as wide as tables are where there is no terminal; paths stay in one piece."""
    print(textwrap.fill(line, _COLUMNS, break_long_words=False, break_on_hyphens=False))


def print_table(view: Table, *, stderr: bool = False) -> None:
    """Show a table, at most as wide as the terminal, or 80 columns where there is none."""
    Console(highlight=False, stderr=stderr).print(view)


def preview_table(steps: Iterable[Forecast], title: str = "") -> Table:
    """Step, what it would run on, and what will become of it."""
    rows = [(step.step, step.instances, step.words) for step in steps]
    return table(("Step", "Instances", "Will"), rows, title=title)


def steps_table(steps: Iterable[StepState], title: str = "") -> Table:
    """Step, status, seconds, attempts, cached, log (a link where the terminal knows links), and how far a running step is or as much of
    the reason as fits: what a failed step said stands whole below the table."""
    rows = [
        (
            step.step,
            status_text(step.status),
            f"{step.seconds:.1f}",
            str(step.attempts),
            "yes" if step.cached else "",
            _link(step.log),
            str(step.progress) if step.progress else shortened(step.reason),
        )
        for step in steps
    ]
    columns = ("Step", "Status", "Seconds", "Tries", "Cached", "Log", "Reason")
    return table(columns, rows, right=("Seconds", "Tries"), title=title)


def _link(location: str | None) -> Text:
    if location is None:
        return Text("")
    return Text("log", style=f"link {location if '://' in location else Path(location).as_uri()}")
