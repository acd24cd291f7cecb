"""Tables as files: typed rows, strict headers, bytes that depend on the content alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from pathology.contracts.errors import DataError
from pathology.contracts.settings import explain


def _empty(value: Any) -> Any:
    return None if value == "" else value


OptionalInt = Annotated[int | None, BeforeValidator(_empty)]
OptionalFloat = Annotated[float | None, BeforeValidator(_empty)]


class Row(BaseModel):
    """A row of a table whose header is exactly its fields, in order.

    Columns that ``optional`` names may be missing, and are left out where no row has anything in them.
    """

    optional: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def read(cls, path: Path) -> list[Self]:
        """Read a table.

        Raises:
            DataError: naming the file, and the missing column or the line that is wrong.
        """
        if not path.is_file():
            raise DataError(f"{path}: there is no such table")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in cls.model_fields if name not in {*(reader.fieldnames or []), *cls.optional}]
            if missing:
                raise DataError(f"{path}: the column {missing[0]!r} is missing; the header is {reader.fieldnames}")
            rows = []
            for number, values in enumerate(reader, start=2):
                try:
                    rows.append(cls.model_validate(values))
                except ValidationError as error:
                    raise DataError(explain(error, f"{path}, line {number}")) from None
        return rows

    @classmethod
    def table(cls, rows: Iterable[Self]) -> bytes:
        """The table as bytes: header, rows in the order given, ``\\n`` line ends, empty for None."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        rows = list(rows)
        names = [name for name in cls.model_fields if name not in cls.optional or any(getattr(row, name) for row in rows)]
        writer.writerow(names)
        for row in rows:
            values = row.model_dump()
            writer.writerow("" if values[name] is None else values[name] for name in names)
        return text.getvalue().encode()
