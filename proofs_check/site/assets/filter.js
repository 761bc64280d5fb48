"use strict";
// Shows the rows of the overview that match the search words and every chosen option. Choices are kept in the address.
(() => {
  const form = document.querySelector("form.filters");
  const rows = [...document.querySelectorAll("#theorems tbody tr")];
  const count = document.getElementById("count");
  const fields = [...form.querySelectorAll("[data-filter]")];
  const given = new URLSearchParams(location.hash.slice(1));
  for (const field of fields) field.value = given.get(field.dataset.filter) ?? "";

  function matches(row) {
    return fields.every((field) => {
      const wanted = field.value.trim();
      if (!wanted) return true;
      const held = row.dataset[field.dataset.filter];
      if (field.dataset.filter !== "words") return held === wanted;
      return wanted.toLowerCase().split(/\s+/).every((word) => held.includes(word));
    });
  }

  function show() {
    let visible = 0;
    for (const row of rows) {
      row.hidden = !matches(row);
      if (!row.hidden) visible += 1;
    }
    count.textContent = visible === rows.length ? `${rows.length} theorems` : `${visible} of ${rows.length} theorems`;
    const chosen = new URLSearchParams(fields.filter((f) => f.value).map((f) => [f.dataset.filter, f.value]));
    history.replaceState(null, "", `#${chosen}`);
  }

  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(show));
  show();
})();
