"""A person's table of what hosts cost, since prices differ by region and change."""

from __future__ import annotations

import csv
from pathlib import Path

from pathology.contracts.errors import RequestError

COLUMNS = ("instance_type", "hourly")


def read_prices(path: Path) -> dict[str, float]:
    """Cost of an hour by instance type, from a csv file with the columns ``instance_type`` and ``hourly``, in any currency.

    Raises:
        RequestError: naming the file, and the column or the line that is wrong.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            lacking = [name for name in COLUMNS if name not in (rows.fieldnames or [])]
            if lacking:
                raise RequestError(f"--prices {path}: the column {lacking[0]!r} is missing; the header is {rows.fieldnames}")
            return {row["instance_type"]: _price(path, number, row["hourly"]) for number, row in enumerate(rows, start=2)}
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"--prices {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _price(path: Path, line: int, text: str | None) -> float:
    try:
        price = float(text or "")
    except ValueError:
        price = -1.0
    if not 0 <= price < float("inf"):
        raise RequestError(f"--prices {path}, line {line}: {text!r} is no price: write a number such as 1.41")
    return price
