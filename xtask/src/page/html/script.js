"use strict";
// The page says everything without this. It adds sorting, and the search in logs.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const isUp = head.getAttribute("aria-sort") === "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
      const value = (row) => {
        const cell = row.cells[column];
        const data = cell.querySelector("data");
        return data ? Number(data.value) : cell.textContent.trim();
      };
      const order = (one, other) => {
        const [a, b] = [value(one), value(other)];
        const isNumber = typeof a === "number" && typeof b === "number";
        return isNumber ? a - b : String(a).localeCompare(String(b));
      };
      const body = table.tBodies[0];
      const rows = [...body.rows].sort(order);
      body.append(...(isUp ? rows : rows.reverse()));
    });
  });
}

const tools = document.getElementById("log-tools");
if (tools) {
  tools.hidden = false;
  const input = document.getElementById("log-search");
  const found = document.getElementById("log-found");
  const logs = [...document.querySelectorAll("details.log")].map((details) => ({
    details,
    pres: [...details.querySelectorAll("pre")].map((pre) => ({ pre, text: pre.textContent })),
  }));
  const filtered = (text, wanted) => {
    const content = document.createDocumentFragment();
    let count = 0;
    for (const line of text.split("\n")) {
      const lower = line.toLowerCase();
      let at = lower.indexOf(wanted);
      if (at < 0) continue;
      count += 1;
      let from = 0;
      // A letter may be longer in lower case; then the line is shown without marks.
      for (; at >= 0 && lower.length === line.length; at = lower.indexOf(wanted, from)) {
        const mark = document.createElement("mark");
        mark.textContent = line.slice(at, at + wanted.length);
        content.append(line.slice(from, at), mark);
        from = at + wanted.length;
      }
      content.append(line.slice(from), "\n");
    }
    return [content, count];
  };
  const search = () => {
    const wanted = input.value.toLowerCase();
    let lines = 0;
    let places = 0;
    for (const { details, pres } of logs) {
      let own = 0;
      for (const { pre, text } of pres) {
        if (!wanted) {
          pre.textContent = text;
          continue;
        }
        const [content, count] = filtered(text, wanted);
        pre.replaceChildren(content);
        own += count;
      }
      details.hidden = Boolean(wanted) && own === 0;
      details.open = Boolean(wanted) && own > 0;
      lines += own;
      places += own > 0 ? 1 : 0;
    }
    found.textContent = wanted ? `${lines} matching lines in ${places} logs` : "";
  };
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 120);
  });
  document.getElementById("log-open").addEventListener("click", () => {
    const isAnyClosed = logs.some(({ details }) => !details.hidden && !details.open);
    logs.forEach(({ details }) => { details.open = isAnyClosed; });
  });
}
