// Sorts a report's tables by a column. Without it, as in a viewer that runs no scripts, a report is the same but for the order of rows.
(() => {
  "use strict";
  const MISSING = new Set(["", "–", "-"]);
  const NUMBER = /^[±+−-]?\d[\d,]*(\.\d+)?(?=$|[\s%–])/;

  // What a cell is sorted by: data-sort where there is one, else the first words in it, without an interval or a remark below.
  const words = (cell) => {
    if (cell.dataset.sort !== undefined) return cell.dataset.sort.trim();
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode.data.trim();
      if (text) return text;
    }
    return "";
  };

  const number = (text) => {
    const found = NUMBER.exec(text);
    return found ? Number(found[0].replace(/[±+,]/g, "").replace("−", "-")) : NaN;
  };

  // Rows in the column's order, those without a value last whichever way; what is equal stays as it came.
  const sorted = (rows, column, descending) => {
    const keyed = rows.map((row) => ({ row, text: words(row.cells[column]) }));
    const known = keyed.filter((item) => !MISSING.has(item.text));
    const numeric = known.every((item) => !Number.isNaN(number(item.text)));
    const compare = (a, b) =>
      numeric ? number(a.text) - number(b.text) : a.text.localeCompare(b.text, undefined, { numeric: true });
    known.sort((a, b) => (descending ? compare(b, a) : compare(a, b)));
    return [...known, ...keyed.filter((item) => MISSING.has(item.text))].map((item) => item.row);
  };

  for (const table of document.querySelectorAll("table[data-stacked]:not(.fixed)")) {
    const body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    const rows = [...body.rows];
    if (rows.length < 3 || rows.some((row) => row.cells.length !== headings.length)) continue;
    table.classList.add("sortable");
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      heading.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const descending = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((other) => other.setAttribute("aria-sort", "none"));
        heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
        body.append(...sorted(rows, column, descending));
      });
    });
  }
})();
