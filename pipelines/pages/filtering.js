// Shows the rows of a table that have all the words of a search in them, and the status that is chosen. Without it all rows are shown.
(() => {
  "use strict";
  const controls = document.querySelector("form.filter");
  if (!controls) return;
  const rows = [...document.querySelectorAll("table.filtered > tbody > tr")];
  const search = controls.querySelector("input");
  const status = controls.querySelector("select");
  const count = controls.querySelector("output");
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const hit = words.every((word) => text.includes(word)) && (!status.value || row.dataset.status === status.value);
      row.hidden = !hit;
      shown += hit;
    }
    count.textContent = `${shown} of ${rows.length}`;
  };
  controls.hidden = false;
  controls.addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", show);
  status.addEventListener("change", show);
  show();
})();
