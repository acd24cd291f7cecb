"""Tables as people have them, by pandas: csv of any separator and encoding, xlsx; all cells are text, and every row knows its line."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pathology.contracts.errors import DataError
from pathology.contracts.identifiers import printable

MAX_BYTES = 100_000_000
"""Of a text file, and of a workbook unpacked. The largest clinical tables in use have some 10 MB."""
MAX_COLUMNS = 2_000
MAX_ROWS = 200_000
MAX_CELLS = 10_000_000
TITLE_ROWS = 20
"""Rows above the header that are looked at: titles, notes, a line ``sep=;``."""
SEPARATORS = (",", "\t", ";", "|")
SUFFIXES = (".csv", ".tsv", ".txt")
WORKBOOK = ".xlsx"


@dataclass(frozen=True)
class Table:
    """``rows`` has a column of text for every name of the header, and the file's line (a workbook's row) as its index.

    ``where`` names the file, with the sheet of a workbook that has several. ``notes`` say what was decided in reading it.
    """

    where: str
    rows: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def header(self) -> list[str]:
        """The names of the columns, as written."""
        return list(self.rows.columns)


@dataclass(frozen=True)
class _Grid:
    """The cells before the header is known: a column a number, an index of lines, and what was decided."""

    where: str
    cells: pd.DataFrame
    notes: tuple[str, ...]


def read_table(
    path: Path, suits: Callable[[list[str]], bool], sheet: str | None = None, *, preferred: str | None = None
) -> Table:
    """Read a table whose header ``suits``: the first such row among :data:`TITLE_ROWS`, in the sheet that is named, or ``preferred``
    where the workbook has it, or the only sheet that has such a row.

    Raises:
        DataError: naming the file, and the line or sheet where there is one, for a file that is damaged, too large, of another kind
            or empty, a column that is duplicated, a row with more cells than columns, and sheets among which nothing decides.
    """
    suffix = path.suffix.lower()
    if suffix == WORKBOOK:
        grids = _workbook(path, sheet, preferred)
    elif suffix in SUFFIXES:
        grids = [_text(path)]
    else:
        raise DataError(f"{path.name}: a table is {', '.join(SUFFIXES)} or {WORKBOOK}: save it as one of these")
    filled = [grid for grid in grids if len(grid.cells)]
    if not filled:
        raise DataError(f"{path.name}: the table is empty")
    headers = [(grid, _header_row(grid, suits)) for grid in filled]
    suiting = [(grid, number) for grid, number in headers if number is not None]
    if len(suiting) > 1:
        raise DataError(
            f"{path.name}: the sheets {', '.join(repr(_sheet_of(grid)) for grid, _ in suiting)} could each be the table: "
            "name one with 'sheet'"
        )
    grid, number = suiting[0] if suiting else (filled[0], _widest_row(filled[0]))
    return _table(grid, number or 0)


def _sheet_of(grid: _Grid) -> str:
    return grid.where.partition(", sheet ")[2]


def _header_row(grid: _Grid, suits: Callable[[list[str]], bool]) -> int | None:
    """The position of the first row that ``suits``."""
    return next((number for number in range(min(TITLE_ROWS, len(grid.cells))) if suits(_cells(grid, number))), None)


def _widest_row(grid: _Grid) -> int:
    """Where no row suits, the one that people would see as the header: the first of those with the most cells filled."""
    filled = [sum(1 for cell in _cells(grid, number) if cell) for number in range(min(TITLE_ROWS, len(grid.cells)))]
    return filled.index(max(filled))


def _cells(grid: _Grid, number: int) -> list[str]:
    return [str(cell) for cell in grid.cells.iloc[number]]


def _table(grid: _Grid, number: int) -> Table:
    header = _cells(grid, number)
    while header and not header[-1]:
        header.pop()
    twice = sorted(name for name, count in Counter(header).items() if name and count > 1)
    if twice:
        raise DataError(f"{grid.where} has the column {printable(twice[0])!r} twice: rename or delete one")
    rows = grid.cells.iloc[number + 1 :]
    surplus = rows.loc[:, len(header) :].ne("").any(axis=1)
    if surplus.any():
        line = surplus.idxmax()
        cells = int(rows.loc[line].ne("").to_numpy().nonzero()[0].max()) + 1
        raise DataError(f"{grid.where}, line {line}: {cells} values under {len(header)} columns: quote the separators")
    named = [column for column, name in enumerate(header) if name]
    unnamed = rows.loc[:, [column for column, name in enumerate(header) if not name]].ne("").any()
    notes = grid.notes
    if number:
        notes += (f"the header is line {grid.cells.index[number]}: what stands above it is not read",)
    if unnamed.any():
        notes += (f"{int(unnamed.sum())} columns without a name are not read",)
    rows = rows.loc[:, named]
    rows.columns = pd.Index([header[column] for column in named])
    return Table(grid.where, rows, notes)


def _tidy(where: str, cells: pd.DataFrame, lines: pd.Index, notes: tuple[str, ...] = ()) -> _Grid:
    """Cells stripped, rows that are blank taken out, within the bounds."""
    cells = cells.fillna("").astype(object)
    cells.index = lines
    cells.columns = pd.RangeIndex(cells.shape[1])
    for column in cells.columns:
        cells[column] = cells[column].astype(str).str.strip()
    cells = cells[cells.ne("").any(axis=1)]
    _check_size(where, *cells.shape)
    return _Grid(where, cells, notes)


def _check_size(where: str, rows: int, columns: int) -> None:
    if rows > MAX_ROWS or columns > MAX_COLUMNS or rows * columns > MAX_CELLS:
        raise DataError(
            f"{where}: {rows:,} rows and {columns:,} columns are more than a table of slides or patients has (at most {MAX_ROWS:,} "
            f"rows, {MAX_COLUMNS:,} columns, {MAX_CELLS:,} cells): delete what is not part of it"
        )


# Text


def _text(path: Path) -> _Grid:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DataError(f"{path.name} has {size:,} bytes, more than {MAX_BYTES:,}: give the table alone")
    text, notes = _decoded(path)
    try:
        separator = _separator(text.splitlines())
        if _declares_separator(text):
            text = "\n" + text.partition("\n")[2]  # blank, so that lines keep their numbers
        starts, width = _layout(text, separator)
        _check_size(path.name, len(starts), width)
        cells = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            header=None,
            names=range(width),
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            skip_blank_lines=False,
        )
    except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        if not text.strip():
            raise DataError(f"{path.name}: the table is empty") from None
        raise DataError(f"{path.name}: {' '.join(str(error).split())}: check the quotes and separators there") from None
    return _tidy(path.name, cells, pd.Index(starts), notes)


def _layout(text: str, separator: str) -> tuple[list[int], int]:
    """The line that each row starts on, since a quoted cell may hold line ends, and the cells of the longest row."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    starts, width, last = [], 1, 0
    for row in reader:
        starts.append(last + 1)
        width, last = max(width, len(row)), reader.line_num
    return starts, width


def _declares_separator(text: str) -> bool:
    """Whether the first line is Excel's ``sep=;``."""
    return text[:4].lower() == "sep=" and len(text.partition("\n")[0]) == len("sep=;")


def _decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    content = path.read_bytes()
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    encodings = ["utf-16"] if marked else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        note = () if encoding.startswith("utf") else ("it is not UTF-8 and was read as Windows-1252: check names with accents",)
        return text.replace("\r\n", "\n").replace("\r", "\n"), note
    raise DataError(f"{path.name} is not text in UTF-8, UTF-16 or Windows-1252: save it as CSV UTF-8")


def _separator(lines: list[str]) -> str:
    """What ``sep=`` says, or the separator that cuts the first lines into the most cells, most of them alike."""
    if lines and _declares_separator(lines[0]):
        return lines[0][-1]
    sample = [line for line in lines[:200] if line.strip()]

    def width(separator: str) -> int:
        counts = Counter(len(cells) for cells in csv.reader(sample, delimiter=separator))
        return counts.most_common(1)[0][0] if counts else 0

    return max(SEPARATORS, key=width)


# Workbooks


def _workbook(path: Path, sheet: str | None, preferred: str | None) -> list[_Grid]:
    """The sheets of a workbook, or the one that is named.

    openpyxl and the libraries below it raise some twenty kinds of exceptions on a damaged workbook: each is the file's fault here.
    """
    try:
        _check_archive(path)
        with pd.ExcelFile(path, engine="openpyxl", engine_kwargs={"read_only": True}) as book:
            names = _sheets(path, book, sheet, preferred)
            grids = []
            for name in names:
                where = path.name if len(book.sheet_names) == 1 else f"{path.name}, sheet {name}"
                _check_extent(where, book.book[name])
                cells = pd.read_excel(book, sheet_name=name, header=None, dtype=str, keep_default_na=False, na_filter=False)
                grids.append(_tidy(where, cells, pd.RangeIndex(1, len(cells) + 1)))
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{path.name} is not an xlsx workbook that can be read ({type(error).__name__}: {' '.join(str(error).split())[:200]}): "
            "save it again as xlsx or csv"
        ) from None
    return grids


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_BYTES:
        raise DataError(f"{path.name} has {size:,} bytes unpacked, more than {MAX_BYTES:,}: save the table's sheet alone, as csv")


def _sheets(path: Path, book: pd.ExcelFile, sheet: str | None, preferred: str | None) -> list[str]:
    if sheet is None and preferred in book.sheet_names:
        return [str(preferred)]
    if sheet is None:
        return [name for name in book.sheet_names if hasattr(book.book[name], "iter_rows")]
    if sheet not in book.sheet_names:
        raise DataError(f"{path.name} has no sheet {sheet!r}, only {', '.join(map(repr, book.sheet_names))}: correct 'sheet'")
    return [sheet]


def _check_extent(where: str, sheet: Any) -> None:
    """Refuse a sheet by its farthest cell: pandas would first pad every row to it."""
    sheet.reset_dimensions()
    rows = 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        last = max((column for column, value in enumerate(row, start=1) if value not in (None, "")), default=0)
        rows += last > 0
        if rows > MAX_ROWS or last > MAX_COLUMNS or number * last > MAX_CELLS:
            raise DataError(
                f"{where} has a cell in row {number:,}, column {last:,}, farther than a table of slides or patients goes (it may "
                f"look blank): delete the rows and columns beside and below the table, or save the table as csv"
            )
