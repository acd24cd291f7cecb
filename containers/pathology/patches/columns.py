"""Which column of somebody's table is meant: names are matched without case, blanks, ``_`` and ``-``, and with their synonyms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import column_key


@dataclass(frozen=True)
class Column:
    """What a column holds, in a few words for messages, the names that it goes by, and the setting that names it."""

    holds: str
    names: tuple[str, ...]
    setting: str


def find_column(header: Sequence[str], column: Column, given: str | None, where: str) -> int | None:
    """The number, from 0, of the column that is ``given`` by its setting, or else goes by one of its names; None where none does.

    Raises:
        DataError: for a name given that the ``header`` has not, and for several columns that it could be.
    """
    known = {column_key(given)} if given else set(map(column_key, column.names))
    found = [number for number, name in enumerate(header) if column_key(name) in known]
    exact = [number for number in found if header[number] == given]
    if len(exact) == 1:
        return exact[0]
    if len(found) > 1:
        candidates = ", ".join(repr(header[number][:40]) for number in found)
        raise DataError(f"{where}: {candidates} could each hold {column.holds}: name the one with {column.setting!r}")
    if given and not found:
        raise DataError(f"{where}: {column.setting!r} is {given[:40]!r}, and there is {_no(column, header)}: correct it")
    return found[0] if found else None


def require_column(header: Sequence[str], column: Column, given: str | None, where: str) -> int:
    """As :func:`find_column`, of one that has to be there.

    Raises:
        DataError: also where it is not, naming the columns that are.
    """
    found = find_column(header, column, given, where)
    if found is None:
        names = ", ".join(column.names)
        raise DataError(f"{where}: {_no(column, header)}: name it with {column.setting!r}, or call it one of {names}")
    return found


def _no(column: Column, header: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in header[:20]) + (", …" if len(header) > 20 else "")
    return f"no column for {column.holds} among {shown}"
