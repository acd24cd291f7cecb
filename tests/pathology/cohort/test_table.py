"""Tables of any separator, encoding and layout; what is damaged or endless is one line that names the file."""

import io
import zipfile
from pathlib import Path

import openpyxl
import pytest
from pathology.cohort.table import read_table
from pathology.contracts.errors import DataError

TABLES = Path(__file__).parent / "tables"
ROWS = [["patient_id", "label"], ["Müller", "MSS"], ["P 2", "MSI-H"], ["P;3", "007"]]


def suits(header: list[str]) -> bool:
    return "label" in header


def read(path: Path, **options):
    return read_table(path, suits, **options)


def csv_text(separator: str = ",") -> str:
    return "\n".join(separator.join(f'"{cell}"' if separator in cell else cell for cell in row) for row in ROWS) + "\n"


def check(table) -> None:
    assert [table.header, *table.rows.to_numpy().tolist()] == ROWS


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_separator_encoding_and_line_end(tmp_path, separator, encoding, end):
    path = tmp_path / "t.csv"
    path.write_bytes(csv_text(separator).replace("\n", end).encode(encoding))
    table = read(path)
    check(table)
    assert list(table.rows.index) == [2, 3, 4]
    assert bool(table.notes) == (encoding == "cp1252")


def test_what_stands_above_the_header_is_seen_through(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sep=;\nTable S1. Patients, their labels, and more;\n\n" + csv_text(";"))
    table = read(path)
    check(table)
    assert list(table.rows.index) == [5, 6, 7]
    assert table.notes == ("the header is line 4: what stands above it is not read",)


def test_lines_are_the_files_though_cells_hold_line_ends(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('patient_id,label,note\nP1,MSS,"two\nlines"\n\nP2,MSS,\n')
    assert list(read(path).rows.index) == [2, 5]


def test_values_stay_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("patient_id,label\n007,NA\n1e5,nan\n1.0,True\n")
    assert read(path).rows.to_numpy().tolist() == [["007", "NA"], ["1e5", "nan"], ["1.0", "True"]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"patient_id,label\nP1,MSS,more\n", "t.csv, line 2: 3 values under 2 columns: quote the separators"),
        (b"patient_id,label,label\nP1,MSS,x\n", "t.csv has the column 'label' twice"),
        (b"", "t.csv: the table is empty"),
        (b"\n \n,,\n", "t.csv: the table is empty"),
        (b"a\0b\x81\x8d", "t.csv is not text in UTF-8, UTF-16 or Windows-1252"),
        (b"\xff\xfea", "t.csv is not text in UTF-8"),
        (b'patient_id,label\n"P1,MSS\n' + b"x" * 200_000, "t.csv: "),
        (b"patient_id,label" + b",x" * 3000, "t.csv: 1 rows and 3,002 columns are more than a table"),
    ],
)
def test_damaged_text_is_one_line(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


# Workbooks


def book(*sheets: tuple[str, list[list[object]]]) -> bytes:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in sheets:
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue()


def saved(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "t.xlsx"
    path.write_bytes(content)
    return path


def test_the_sheet_whose_columns_fit(tmp_path):
    path = saved(tmp_path, book(("About", [["This is text"]]), ("Data", [["Table 1"], [], *ROWS])))
    table = read(path)
    check(table)
    assert (table.where, list(table.rows.index)) == ("t.xlsx, sheet Data", [4, 5, 6])


def test_sheets_among_which_nothing_decides(tmp_path):
    path = saved(tmp_path, book(("2023", ROWS), ("2024", ROWS[:2])))
    with pytest.raises(DataError, match="the sheets '2023', '2024' could each be the table: name one with 'sheet'"):
        read(path)
    check(read(path, sheet="2023"))
    check(read(path, preferred="2023"))
    with pytest.raises(DataError, match="t.xlsx has no sheet '2025', only '2023', '2024'"):
        read(path, sheet="2025")


def test_numbers_of_a_workbook_are_as_people_see_them(tmp_path):
    path = saved(tmp_path, book(("S", [["patient_id", "label"], [7, 0], [8.0, 1], [9.5, True]])))
    assert read(path).rows.to_numpy().tolist() == [["7", "0"], ["8", "1"], ["9.5", "True"]]


def test_a_cell_in_the_last_corner_is_refused_in_a_line():
    with pytest.raises(DataError, match=r"xlsx-far-cell.xlsx has a cell in row 1,048,576, column 16,384, farther than"):
        read(TABLES / "xlsx-far-cell.xlsx")


def test_a_sheet_that_breaks_off_names_the_file():
    with pytest.raises(DataError, match=r"xlsx-broken-sheet.xlsx is not an xlsx workbook that can be read \(ParseError"):
        read(TABLES / "xlsx-broken-sheet.xlsx")


def _member(content: bytes, name: str, change) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.namelist():
            data = source.read(entry)
            if entry == name:
                data = change(data)
            if data is not None:
                target.writestr(entry, data)
    return buffer.getvalue()


def _flipped(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = archive.getinfo(name)
    middle = entry.header_offset + 30 + len(name) + entry.compress_size // 2
    return content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 8]) + content[middle + 8 :]


WHOLE = book(("S", ROWS))
DAMAGED = {
    "cut": WHOLE[: len(WHOLE) // 2],
    "not a zip": b"patient_id,label\n",
    "no workbook": _member(WHOLE, "xl/workbook.xml", lambda data: None),
    "no sheet": _member(WHOLE, "xl/worksheets/sheet1.xml", lambda data: None),
    "not XML": _member(WHOLE, "xl/worksheets/sheet1.xml", lambda data: b"\xff\xfe\x00nonsense"),
    "styles cut": _member(WHOLE, "xl/styles.xml", lambda data: data[:200]),
    "a string of no table": _member(
        WHOLE,
        "xl/worksheets/sheet1.xml",
        lambda data: data.replace(b't="inlineStr"><is><t>label</t></is>', b't="s"><v>999</v>'),
    ),
    "a wrong number": _member(WHOLE, "xl/worksheets/sheet1.xml", lambda data: data.replace(b'r="A2"', b'r="ZZZZZ99999999"')),
    "bytes flipped": _flipped(WHOLE, "xl/worksheets/sheet1.xml"),
}


@pytest.mark.parametrize("how", DAMAGED)
def test_damaged_workbooks_are_one_line_that_names_the_file(tmp_path, how):
    path = saved(tmp_path, DAMAGED[how])
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith("t.xlsx") and "\n" not in str(caught.value)


def test_a_workbook_that_swells_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("pathology.cohort.table.MAX_BYTES", 10_000)
    padded = _member(WHOLE, "xl/worksheets/sheet1.xml", lambda data: data + b" " * 50_000)
    with pytest.raises(DataError, match=r"t.xlsx has \d\d,\d\d\d bytes unpacked, more than 10,000"):
        read(saved(tmp_path, padded))
    with pytest.raises(DataError, match=r"t.csv has 20,000 bytes, more than 10,000"):
        path = tmp_path / "t.csv"
        path.write_bytes(b"x" * 20_000)
        read(path)


def test_other_kinds_of_files(tmp_path):
    (tmp_path / "t.pdf").write_bytes(b"")
    with pytest.raises(DataError, match=r"t.pdf: a table is .csv, .tsv, .txt or .xlsx"):
        read(tmp_path / "t.pdf")
