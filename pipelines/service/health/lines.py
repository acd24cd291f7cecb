"""What a check says: a line with its state, and what a person does about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True)
class Line:
    """One finding. ``says`` is what was seen; for a problem, what is wrong and what to do; for unknown, why."""

    check: str
    state: State
    says: str

    def as_json(self) -> dict[str, str]:
        """For scripts."""
        return {"check": self.check, "state": self.state, "says": self.says}


Lines = Iterator[Line]
_MAX_REASON = 300
"""What a service answers may be a whole page."""


def ok(check: str, says: str) -> Line:
    """Nothing to do."""
    return Line(check, "ok", says)


def problem(check: str, says: str) -> Line:
    """An execution would fail, or data would be less safe than they should be."""
    return Line(check, "problem", says)


def unknown(check: str, says: str) -> Line:
    """It could not be seen from here."""
    text = " ".join(says.split())
    return Line(check, "unknown", text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 1] + "…")


def verdict(check: str, wrong: list[str], fine: str) -> Lines:
    """A problem for each thing that is wrong, else that all is fine."""
    yield from (problem(check, says) for says in wrong)
    if not wrong:
        yield ok(check, fine)
