"""Tables of a report: each cell is told its column's heading, so that report.css can stack a row where the screen is narrow."""

from __future__ import annotations

from html import escape, unescape
from html.parser import HTMLParser

APART = "grid"
"""The class of tables that stay a grid on any screen: cells of a confusion matrix say nothing alone."""

Attributes = list[tuple[str, str | None]]


def labelled(source: str) -> str:
    """The page ``source``, in which every table with a ``<thead>`` is marked ``data-stacked``, each cell of its body has its column's
    heading as ``data-label``, and each heading its ``scope``. All else stays byte for byte; so do tables of the class :data:`APART`.

    Raises:
        ValueError: when a row has not as many cells as there are headings; it names the table by these.
    """
    reader = _Reader(source)
    reader.feed(source)
    reader.close()
    parts, last = [], 0
    for position, text in reader.inserted:
        parts += [source[last:position], text]
        last = position
    return "".join([*parts, source[last:]])


class _Reader(HTMLParser):
    """Notes in ``inserted`` what is to stand where in the source, in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=False)
        self.inserted: list[tuple[int, str]] = []
        self._lines = [0]
        for line in source.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self._table: int | None = None
        self._headings: list[str] = []
        self._heading: list[str] | None = None
        self._in_head = False
        self._column = 0

    def _insert(self, tag: str, text: str) -> None:
        """Behind the name of the tag that is read now."""
        line, offset = self.getpos()
        self.inserted.append((self._lines[line - 1] + offset + 1 + len(tag), text))

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        values = dict(attrs)
        if tag == "table":
            self._table = None if APART in (values.get("class") or "").split() else len(self.inserted)
            self._headings = []
            if self._table is not None:
                self._insert(tag, "")  # until its <thead> is seen
        elif self._table is None:
            return
        elif tag == "thead":
            self._in_head = True
            self.inserted[self._table] = (self.inserted[self._table][0], " data-stacked")
        elif tag == "tr":
            self._column = 0
        elif tag == "th" and self._in_head:
            self._heading = []
            if "scope" not in values:
                self._insert(tag, ' scope="col"')
        elif tag in ("td", "th") and self._headings:
            self._cell(tag, int(values.get("colspan") or 1))

    def _cell(self, tag: str, columns: int) -> None:
        if self._column < len(self._headings):
            self._insert(tag, f' data-label="{escape(self._headings[self._column])}"')
        self._column += columns

    def handle_endtag(self, tag: str) -> None:
        if self._table is None:
            return
        if tag == "th" and self._heading is not None:
            self._headings.append(" ".join("".join(self._heading).split()))
            self._heading = None
        elif tag == "thead":
            self._in_head = False
        elif tag == "tr" and self._headings and not self._in_head and self._column != len(self._headings):
            raise ValueError(f"a row of the table {', '.join(self._headings)} has {self._column} cells")
        elif tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if self._heading is not None:
            self._heading.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(unescape(f"&{name};"))

    def handle_charref(self, name: str) -> None:
        self.handle_data(unescape(f"&#{name};"))
