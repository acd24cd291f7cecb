"""Cells know their headings, and nothing else of a page changes."""

import pytest
from pathology.report.tables import labelled

TABLE = """<p>a &lt; b</p><table class="x">
<thead><tr><th>Name &amp; <em>kind</em></th><th scope="col" class="n">95%
 interval</th></tr></thead>
<tbody><tr><th scope="row">é &nbsp;</th><td
 class="n">1 – 2<br>of 3</td></tr></tbody></table><p>after</p>"""


def test_cells_have_their_headings_and_the_rest_stays():
    page = labelled(TABLE)
    assert (
        page
        == """<p>a &lt; b</p><table data-stacked class="x">
<thead><tr><th scope="col">Name &amp; <em>kind</em></th><th scope="col" class="n">95%
 interval</th></tr></thead>
<tbody><tr><th data-label="Name &amp; kind" scope="row">é &nbsp;</th><td data-label="95% interval"
 class="n">1 – 2<br>of 3</td></tr></tbody></table><p>after</p>"""
    )


@pytest.mark.parametrize(
    "page",
    [
        '<table class="matrix grid"><thead><tr><th>a</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>',
        "<table><tbody><tr><td>name</td><td>value</td></tr></tbody></table>",
        '<script>"<td>" < 3</script><p title="<td>">no table</p>',
    ],
)
def test_what_has_no_headings_or_is_a_grid_stays(page):
    assert labelled(page) == page


def test_a_cell_over_two_columns_has_the_first_ones_heading():
    page = labelled(
        "<table><thead><tr><th>a</th><th>b</th><th>c</th></tr></thead><tr><td colspan=2>1</td><td>2</td></tr></table>"
    )
    assert '<td data-label="a" colspan=2>1</td><td data-label="c">2</td>' in page


@pytest.mark.parametrize("cells", ["<td>1</td>", "<td>1</td><td>2</td><td>3</td>"])
def test_a_row_that_does_not_fit_its_headings_is_refused(cells):
    with pytest.raises(ValueError, match=r"a row of the table a, b has \d cells"):
        labelled(f"<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr>{cells}</tr></tbody></table>")


def test_two_tables_do_not_share_headings():
    one = "<table><thead><tr><th>{0}</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>"
    page = labelled(one.format("a") + "<table><tr><td>no heading</td></tr></table>" + one.format("b"))
    assert page.count('data-label="a"') == page.count('data-label="b"') == 1 and "<tr><td>no heading" in page
