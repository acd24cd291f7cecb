"""A comparison of two models as people read it: in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.scores import title
from pipelines.tables import print_table, say, table
from pipelines.tasks import task_spec
from pipelines.version_tables import short_status

if TYPE_CHECKING:
    from pathology.contracts.comparison.result import DifferentItem, GroupRow, PairedComparison, PairedScore

    from pipelines.service.comparing import Compared, Model

SHOWN = 10
"""Items, and groups; ``--json`` has all that the comparison lists."""
_MOST = 22
"""Characters of a name in a table."""


def print_comparison(found: Compared) -> None:
    """Who they are, what was compared, the differences, the items that differ most, and by site or class."""
    comparison = found.comparison
    for letter, model in zip("AB", found.models, strict=True):
        print(f"{letter}  {described(model)}")
    for line in about(found):
        say(line)
    if not comparison.comparable:
        return
    _print_scores(found)
    if agreement := agreement_words(comparison):
        say(agreement)
    _print_different(comparison)
    _print_groups(found)


def described(model: Model) -> str:
    """Which it is, and where it comes from."""
    if model.version is None:
        return model.name
    return f"{model.name}, {short_status(model.status or '')}, of execution {model.execution or 'not recorded'}"


def about(found: Compared) -> Iterator[str]:
    """Lines on what was compared, what was left out, and what is not known."""
    comparison = found.comparison
    if not comparison.comparable:
        yield f"not comparable: {comparison.reason}"
    else:
        positives = "" if comparison.positives is None else f", {comparison.positives:,} of them positive"
        yield f"{comparison.n:,} {comparison.unit} in common{positives}; left out: {comparison.left_out}"
        if comparison.by_id_alone:
            yield f"{comparison.by_id_alone:,} of them are the same by id alone: hashes of their content are not known on both sides"
    yield from (f"it is not known what {name} was trained on: items may be among these" for name in comparison.learning_unknown)
    yield from found.notes


def scores_shown(found: Compared) -> list[tuple[str, PairedScore]]:
    """The headline scores, by title."""
    spec, scores = task_spec(found.task), found.comparison.scores
    return [(title(name, spec.titles), scores[name]) for name in spec.headline if name in scores]


def value(number: float | None) -> str:
    """A score or a probability."""
    return "–" if number is None else f"{number:.3f}"


def signed(number: float | None) -> str:
    """A difference; one that is nothing has no sign."""
    return "–" if number is None else f"{number:+.3f}" if round(number, 3) else "0.000"


def interval(score: PairedScore) -> str:
    """Of the difference."""
    bounds = score.bounds
    return "none" if bounds is None else f"{signed(bounds.low)} to {signed(bounds.high)}"


def agreement_words(comparison: PairedComparison) -> str:
    """Discordant counts; empty where items are neither right nor wrong."""
    counts = comparison.agreement
    if counts is None:
        return ""
    return (
        f"both right {counts.both_right:,}, only A {counts.only_first:,}, only B {counts.only_second:,}, both wrong "
        f"{counts.both_wrong:,}; McNemar's exact p = {counts.p_value:.3g}"
    )


def right_of(item: DifferentItem) -> str:
    """Which of the two has the item right; empty where nothing decides."""
    return "" if item.first_right is None else "A" if item.first_right else "B"


def group_measure(found: Compared) -> str | None:
    """The score that groups are shown by, the first that they have; None without groups."""
    return next((name for group in found.comparison.groups for name in group.scores), None)


def _print_scores(found: Compared) -> None:
    shown = scores_shown(found)
    heading = f"{found.comparison.confidence:.0%} interval"
    rows = [(name, value(each.first), value(each.second), signed(each.difference), interval(each)) for name, each in shown]
    print()
    print_table(table(("Score", "A", "B", "A − B", heading), rows, right=("A", "B", "A − B")))
    for method in dict.fromkeys(each.method for _, each in shown if each.bounds is None):
        say(method)


def _print_different(comparison: PairedComparison) -> None:
    items = comparison.different
    if not items:
        print("no item on which the two differ")
        return
    labelled, grouped = (any(getattr(item, key) not in (None, "") for item in items) for key in ("label", "group"))
    columns = (
        "Item",
        *(("Of",) if grouped else ()),
        *(("Truth",) if labelled else ()),
        "A",
        "B",
        *(("Right",) if labelled else ()),
    )
    rows = [
        (
            _short(item.item),
            *((_short(item.group),) if grouped else ()),
            *((str(item.label),) if labelled else ()),
            value(item.first),
            value(item.second),
            *((right_of(item),) if labelled else ()),
        )
        for item in items[:SHOWN]
    ]
    print_table(table(columns, rows, right=("A", "B"), title="\nMost different"))
    _rest(comparison.different_of - len(rows), "that differ")


def _print_groups(found: Compared) -> None:
    groups, measure = found.comparison.groups, group_measure(found)
    if measure is None:
        return
    positives = any(group.positives is not None for group in groups)
    columns = ("Group", "n", *(("Pos.",) if positives else ()), "A", "B", "A − B", "Interval")
    rows = [
        (
            _short(group.name),
            f"{group.n:,}",
            *((f"{group.positives:,}",) if positives else ()),
            *_cells(group, measure),
        )
        for group in groups[:SHOWN]
    ]
    name = title(measure, task_spec(found.task).titles)
    print_table(table(columns, rows, right=("n", "Pos.", "A", "B", "A − B"), title=f"\n{name} by group"))
    _rest(len(groups) - len(rows), "groups")


def _cells(group: GroupRow, measure: str) -> tuple[str, str, str, str]:
    score = group.scores[measure]
    return value(score.first), value(score.second), signed(score.difference), interval(score)


def _rest(count: int, what: str) -> None:
    if count > 0:
        print(f"and {count:,} more {what}; --json lists them")


def _short(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"
