// Tables and lists: search, filters, sorting, columns, a head that stays, and cards on a phone.

const STEP = 100; // items that "Show more" adds
const columnStyles = document.head.appendChild(html("style"));

function columnName(head) {
  const copy = head.cloneNode(true);
  all(copy, "small, .scale").forEach((part) => part.remove());
  return collapse(copy.textContent).replace(/ [↓↑]$/, "");
}

function setUpList(root, place) {
  const body = root.querySelector("[data-items]");
  if (!body) return;
  const rest = root.querySelector("template")?.content;
  const items = [...body.children, ...(rest ? (rest.querySelector("tbody") ?? rest).children : [])];
  const controls = root.querySelector(".controls"), status = root.querySelector(".status");
  const more = root.querySelector("[data-more]"), search = controls.querySelector("input");
  const what = status.textContent.match(/of \d+ (\S+) shown/)[1];
  const heads = all(root, "thead th"), facets = all(controls, "select[data-facet]");
  const prefix = place ? `${root.closest("section").id}${root.closest("section").querySelectorAll(".shelf").length > 1 ? place + 1 : ""}.` : "";
  const first = body.children.length;
  let most = first, order = null, sorted = "";

  const texts = new Map();
  const text = (item) => texts.get(item) ?? texts.set(item, item.textContent.toLowerCase()).get(item);
  const facet = (item, key) => item.querySelector("." + key)?.textContent ?? "";

  function matching() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = facets.filter((s) => s.value);
    return items.filter((item) =>
      words.every((word) => text(item).includes(word)) &&
      chosen.every((s) => facet(item, s.dataset.facet) === s.value));
  }

  function show() {
    const found = matching();
    if (order) found.sort(order);
    body.replaceChildren(...found.slice(0, most));
    status.textContent = `${Math.min(most, found.length)} of ${found.length} ${what} shown` +
      (found.length < items.length ? `, chosen from ${items.length}` : "");
    more.hidden = found.length <= most;
    root.shown = found;
    lookFor(body);
  }

  function key(item, column, kind) {
    const cell = item.children[column];
    if (kind === "text") return cell.textContent.trim();
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  }

  function sortBy(name) { // a name with a minus sorts downwards, an empty one restores the order
    const isDown = name.startsWith("-"), column = heads.findIndex((head) => columnName(head) === name.replace(/^-/, ""));
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    sorted = column < 0 ? "" : name;
    order = null;
    if (column < 0) return show();
    heads[column].setAttribute("aria-sort", isDown ? "descending" : "ascending");
    const kind = heads[column].dataset.sort, sign = isDown ? -1 : 1;
    const keys = new Map(items.map((item) => [item, key(item, column, kind)]));
    order = (one, other) => {
      const a = keys.get(one), b = keys.get(other);
      if (a === null || b === null) return (a === null) - (b === null); // items without a value come last
      return sign * (kind === "text" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
    };
    return show();
  }

  heads.filter((head) => head.dataset.sort).forEach((head) => {
    const name = columnName(head);
    const made = html("button", { type: "button" }, ...head.childNodes);
    head.append(made);
    made.addEventListener("click", () => { sortBy(sorted === name ? `-${name}` : name); saveView(true); });
  });
  const table = root.querySelector("table.board");
  const menu = table && setUpColumns(table, controls, heads, prefix);
  if (table) addSortChoice(controls, heads, (name) => { sortBy(name); saveView(true); });
  controls.hidden = items.length < 4 && !table;
  controls.addEventListener("input", (event) => {
    if (!event.target.matches("input[type=search], select[data-facet]")) return;
    most = first;
    show();
    saveView(event.target.matches("select"));
  });
  controls.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { most += STEP; show(); });
  more.hidden = items.length <= most;
  root.items = root.shown = items;
  if (table) root.showAll = () => { most = items.length; show(); };
  viewParts.push({
    root: root.closest("section"),
    write(values) {
      if (search.value.trim()) values.set(`${prefix}q`, search.value.trim());
      facets.filter((s) => s.value).forEach((s) => values.set(prefix + s.dataset.name, s.value));
      if (sorted) values.set(`${prefix}sort`, sorted);
      menu?.write(values);
    },
    apply(values) {
      const view = () => [search.value, ...facets.map((s) => s.value), sorted].join("\n"), before = view();
      search.value = values.get(`${prefix}q`) ?? "";
      facets.forEach((s) => { s.value = values.get(prefix + s.dataset.name) ?? ""; if (s.selectedIndex < 0) s.value = ""; });
      const order = values.get(`${prefix}sort`) ?? "", areColumnsChanged = menu?.apply(values) ?? false;
      if (order === sorted && view() === before) return areColumnsChanged; // rows keep the focus
      most = first;
      sortBy(order);
      return view() !== before || areColumnsChanged;
    },
  });
}

// Columns that can be hidden; on a phone, rows are cards whose values have the names of the columns

const quoted = (text) => `"${text.replace(/["\\]/g, "\\$&").replace(/\n/g, " ")}"`;

function setUpColumns(table, controls, heads, prefix) {
  const names = heads.map(columnName), hidden = new Set();
  table.id ||= `board-${all(document, "table.board").indexOf(table)}`;
  const list = html("div", { className: "menu-list" });
  const boxes = names.map((name, n) => {
    if (n < 3 || heads[n].matches(".plot-head")) return null;
    const box = html("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => { box.checked ? hidden.delete(n) : hidden.add(n); refresh(); saveView(true); });
    list.append(html("label", {}, box, ` ${name}`));
    return box;
  });
  controls.append(html("details", { className: "menu" }, html("summary", {}, "Columns"), list));
  const own = columnStyles.appendChild(document.createTextNode(""));

  function refresh() {
    const away = [...hidden].map((n) => `#${table.id} tr > :nth-child(${n + 1}) { display: none !important; }`);
    const labels = names.map((name, n) => n > 2 && !heads[n].matches(".plot-head")
      ? `#${table.id} td:nth-child(${n + 1})::before { content: ${quoted(name.replace(/[(=_]/g, "$&\u200b"))}; }` : "");
    own.data = `${away.join("\n")}\n@media screen and (max-width: 40rem) { ${labels.join("\n")} }\n`;
    table.hiddenColumns = hidden;
  }
  refresh();
  return {
    write(values) { if (hidden.size) values.set(`${prefix}hide`, [...hidden].map((n) => names[n]).join("|")); },
    apply(values) {
      const wanted = (values.get(`${prefix}hide`) ?? "").split("|"), before = [...hidden].join();
      hidden.clear();
      boxes.forEach((box, n) => { if (box) { box.checked = !wanted.includes(names[n]); if (!box.checked) hidden.add(n); } });
      refresh();
      return before !== [...hidden].join();
    },
  };
}

function addSortChoice(controls, heads, sortBy) { // phones have no head to click
  const select = html("select", {}, new Option("order: as ranked", ""));
  heads.filter((head) => head.dataset.sort).forEach((head) => {
    const name = columnName(head);
    select.append(new Option(`${name}, ascending`, name), new Option(`${name}, descending`, `-${name}`));
  });
  select.addEventListener("change", () => sortBy(select.value));
  select.setAttribute("aria-label", "Order of rows");
  controls.append(html("div", { className: "on-phone" }, select));
}

// A line above a table that is wider than its box names the columns that are out of sight, and scrolls to them

const MOST_NAMES = 4; // columns that the line names

function addSidewaysLine(box) {
  const heads = all(box, "thead th"), names = html("span");
  if (!heads.length) return;
  const turn = (direction) => box.scrollBy({ left: direction * 0.7 * box.clientWidth });
  const left = button("←", "Scroll the table left", () => turn(-1)), right = button("→", "Scroll the table right", () => turn(1));
  const line = html("p", { className: "sideways", hidden: true }, left, " ", right, " ", names);
  box.before(line);

  function refresh() {
    const isWide = box.scrollWidth > box.clientWidth + 1, end = box.getBoundingClientRect().right + 1;
    line.hidden = !isWide;
    if (!isWide) return;
    const away = heads.filter((head) => head.getBoundingClientRect().right > end).map((head) => columnName(head) || "more");
    const more = away.length > MOST_NAMES ? ` and ${away.length - MOST_NAMES} more` : "";
    names.textContent = away.length ? `To the right: ${away.slice(0, MOST_NAMES).join(", ")}${more}` : "All columns to the right are shown";
    left.disabled = box.scrollLeft < 1;
    right.disabled = !away.length;
  }
  const sizes = new ResizeObserver(refresh);
  [box, box.querySelector("table")].forEach((part) => sizes.observe(part));
  box.addEventListener("scroll", refresh, { passive: true });
}

// The head of a long table stays below the menu while its rows scroll. The table scrolls sideways in its
// own box, in which `position: sticky` would not follow the page.

function keepHeads() {
  const top = document.querySelector("body > nav").offsetHeight;
  all(document, "table.board").forEach((table) => {
    const head = table.tHead, box = table.getBoundingClientRect();
    const start = box.top + head.offsetTop, most = box.bottom - start - head.offsetHeight - 60;
    const shift = Math.max(0, Math.min(top - start, most));
    if (shift !== (table.shift ?? 0)) head.style.transform = shift ? `translateY(${shift}px)` : "";
    head.classList.toggle("floating", shift > 0);
    table.shift = shift;
  });
}
addEventListener("scroll", keepHeads, { passive: true });
