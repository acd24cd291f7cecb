"""A person sorts tables, in a real browser, on a page read from a file."""

from pathlib import Path

import pytest
from pathology import report
from pathology.report.tables import labelled

ROWS = (
    ("b 10", "1,200", "– ", "0.5 – 0.7", "z"),
    ("b 9", "30", "± 0.2", "0.4 – 0.9", "a"),
    ("a", "−4", "± 0.1", "–", "m"),
    ("a", "30", "", "0.45", "m"),
)
ORDERS = (  # by column: ascending and descending, missing values last in both, what is equal as it came
    ([2, 3, 1, 0], [0, 1, 2, 3]),
    ([2, 1, 3, 0], [0, 1, 3, 2]),
    ([2, 1, 0, 3], [1, 2, 0, 3]),
    ([1, 3, 0, 2], [0, 3, 1, 2]),
    ([3, 2, 1, 0], [0, 1, 2, 3]),  # by data-sort, against the words
)
ORDER = "[...document.querySelectorAll('#tried tbody tr')].map((row) => Number(row.id))"
STATES = "[...document.querySelectorAll('#tried th')].map((heading) => heading.getAttribute('aria-sort'))"


@pytest.fixture
def tab(chromium, tmp_path):
    """A tab that shows :data:`ROWS`, with what a page brings of style and script; each cell has a line that is not sorted by."""
    style, script = ((Path(report.__file__).parent / name).read_text() for name in ("report.css", "sorting.js"))
    headings = "".join(f"<th>column {number}</th>" for number in range(5))
    rows = "".join(
        f"<tr id={number}>{''.join(f'<td>{cell}<br>{9 - number}</td>' if cell.strip() else '<td></td>' for cell in row[:4])}"
        f'<td data-sort="{9 - number}">{row[4]}</td></tr>'
        for number, row in enumerate(ROWS)
    )
    few = "<table{0}><thead><tr><th>a</th></tr></thead><tbody>{1}</tbody></table>"
    row = "<tr><td>1</td></tr>"
    tables = (
        f"<table id=tried><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>"
        f"{few.format(' class=fixed', 3 * row)}{few.format('', 2 * row)}<table><tbody>{3 * row}</tbody></table>"
    )
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><style>{style}</style>{labelled(tables)}<script>{script}</script>")
    chromium.open(path)
    return chromium


def test_numbers_as_numbers_words_as_words_and_missing_values_last(tab):
    assert (
        tab.run("document.querySelectorAll('th button').length") == 5
    )  # one table has an order of its own, the others too few rows
    for column, (ascending, descending) in enumerate(ORDERS):
        for order, state in ((ascending, "ascending"), (descending, "descending"), (ascending, "ascending")):
            tab.run(f"document.querySelectorAll('#tried th button')[{column}].click()")
            assert (column, tab.run(ORDER)) == (column, order)
            assert tab.run(STATES) == [state if number == column else "none" for number in range(5)]
    assert tab.problems == []


def test_keys_sort_as_clicks_do(tab):
    tab.press("Tab")
    tab.press("Tab")
    assert tab.run("document.activeElement.textContent") == "column 1"
    assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.press("Enter")
    assert (tab.run(ORDER), tab.run(STATES)[1]) == (ORDERS[1][0], "ascending")
    tab.press("Space")
    assert (tab.run(ORDER), tab.run(STATES)[1]) == (ORDERS[1][1], "descending")
    assert tab.run("document.activeElement.textContent") == "column 1"
