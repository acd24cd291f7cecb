"""Reads a report as a browser would, as far as tests ask."""

import html.parser


class Page(html.parser.HTMLParser):
    """Collects what a page refers to, its text, and whether tags close."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.references, self.text, self.open = [], "", []
        self.scripts = 0
        self.feed(source)
        assert not self.open
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in {"src", "href", "srcset", "data"}]
        self.scripts += tag == "script"
        if tag in {"td", "th", "p", "br"}:
            self.text += " "
        if tag not in {"meta", "img", "br", "link", "source"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text += data


CUT = """
(() => {
  const width = document.documentElement.clientWidth, faults = [];
  if (document.scrollingElement.scrollWidth > width) faults.push("the page scrolls sideways");
  for (const element of document.body.querySelectorAll("*:not(svg *, script)")) {
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const name = `${element.tagName}.${element.className}: ${element.textContent.trim().slice(0, 60)}`;
    if (box.left < -0.5 || box.right > width + 0.5) faults.push(`${name} ends at ${box.right}`);
    const clips = getComputedStyle(element).overflowX !== "visible";
    if (clips && element.scrollWidth > element.clientWidth + 1) faults.push(`${name} is cut`);
  }
  return faults;
})()
"""
"""What of a page cannot be seen without scrolling sideways."""

SORTABLE = """
[...document.querySelectorAll("table.sortable")].map((table) => {
  const columns = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows];
  const text = (cell) => cell.dataset.sort ?? cell.innerText.trim().split("\\n")[0];
  const clicked = columns.map((heading, column) => [0, 1].map(() => {
    heading.querySelector("button").click();
    const order = [...table.tBodies[0].rows].map((row) => rows.indexOf(row));
    const sorted = columns.filter((other) => other.getAttribute("aria-sort") !== "none").length;
    return { state: heading.getAttribute("aria-sort"), sorted, order, texts: order.map((row) => text(rows[row].cells[column])) };
  }));
  return { clicked, shown: columns.every((heading) => heading.getBoundingClientRect().height > 0) };
})
"""
"""Each table's headings, clicked twice: after either ``aria-sort``, how many columns say that they are sorted, the rows' order and the
column's texts in it; and whether one sees the headings."""

TO_BE_SORTED = """
[...document.querySelectorAll("table:not(.fixed, .grid)")].filter((table) => table.tHead && table.tBodies[0].rows.length > 2).length
"""
"""How many tables have headings, no order of their own, and rows enough."""

PRINTED = """
(() => {
  const style = (element) => getComputedStyle(element);
  const every = (selector, holds) => [...document.querySelectorAll(selector)].filter((element) => !holds(style(element)))
    .map((element) => `${element.tagName}.${element.className}`);
  return [
    ...every("h1, h2, h3, h4", (of) => of.breakAfter === "avoid"),
    ...every("figure, .card, .result, .warning, tr, table.measures, table.grid", (of) => of.breakInside === "avoid"),
    ...every("th button", (of) => of.display === "contents"),  // else the heading is empty on the next page
    ...[...document.querySelectorAll("details > :not(summary)")].filter((element) => !element.checkVisibility({ contentVisibilityAuto: true }))
      .map((element) => `${element.tagName} is not shown`),
  ];
})()
"""
"""What a page break may tear apart, and what paper would not show."""


PAPER = 703
"""px between the margins of A4, which is narrower than US letter."""


def check_in_browser(chromium, path) -> None:
    """Hold a page to what every report promises on a phone, a tablet and paper, and its tables to sorting."""
    for width in (910, 390):  # the narrowest with tables in columns, and a phone
        chromium.open(path, width=width)
        assert (width, chromium.run(CUT)) == (width, [])
    tables = chromium.run(SORTABLE)
    assert len(tables) == chromium.run(TO_BE_SORTED) and all(table["shown"] for table in tables)
    turned = 0
    for table in tables:
        for once, twice in table["clicked"]:
            assert (once["state"], twice["state"], once["sorted"], twice["sorted"]) == ("ascending", "descending", 1, 1)
            assert sorted(once["order"]) == sorted(twice["order"]) == list(range(len(once["order"])))
            if "–" not in once["texts"] and len(set(once["texts"])) == len(once["texts"]):
                assert once["texts"] == twice["texts"][::-1]
                turned += 1
    assert turned, "no column has different values, which alone show that rows are sorted"
    assert chromium.run(CUT) == []
    chromium.open(path, width=PAPER)
    chromium.media("print")
    assert chromium.run(PRINTED) == [] == chromium.run(CUT)
    chromium.media("screen")
    assert chromium.problems == []


def trained():
    """How a made model was trained, for a block of evaluation.json: three epochs, of which the second was kept."""
    from pathology.contracts.evaluation import TrainingReport
    from pathology.contracts.history import LossCurve

    return TrainingReport(
        code="9" * 16,
        settings={"epochs": "3", "learning-rate": "0.01"},
        inputs={"patches": "f" * 64},
        libraries={"torch": "2.0"},
        curves=[LossCurve.of("", 2, [(0.7, 0.69), (0.5, 0.6), (0.4, 0.8)])],
    )
