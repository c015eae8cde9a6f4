// Sorts a table of the page book/results by the column whose head is pressed: largest first, then smallest first.
const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim().toLowerCase();
const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : b - a);

for (const table of document.querySelectorAll("table.wb-sortable")) {
  const [body] = table.tBodies;
  for (const head of table.tHead.rows[0].cells) {
    head.querySelector("button").addEventListener("click", () => {
      const again = head.getAttribute("aria-sort") === "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", again ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [key(row, head.cellIndex), row]);
      const [empty, filled] = [rows.filter(([k]) => k === ""), rows.filter(([k]) => k !== "")];
      filled.sort(([a], [b]) => (again ? compare(b, a) : compare(a, b)));
      body.append(...[...filled, ...empty].map(([, row]) => row));
    });
  }
}
