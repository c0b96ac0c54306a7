"use strict";
// Sorting and filtering of tables, charts that are drawn when they scroll into view, and enlarged cards.

const all = (root, query) => [...root.querySelectorAll(query)];
const data = (element) => JSON.parse(element.textContent);

// Shelves: lists of items. The first items are shown; a template holds the others

const STEP = 100; // items that "Show more" adds

function shelf(root) {
  const body = root.querySelector("[data-items]");
  if (!body) return;
  const rest = root.querySelector("template")?.content;
  const items = [...body.children, ...(rest ? (rest.querySelector("tbody") ?? rest).children : [])];
  const controls = root.querySelector(".controls"), status = root.querySelector(".status");
  const more = root.querySelector("[data-more]");
  const what = status.textContent.match(/of \d+ (\S+) shown/)[1];
  const first = body.children.length;
  let most = first, order = null;

  const texts = new Map();
  const text = (item) => texts.get(item) ?? texts.set(item, item.textContent.toLowerCase()).get(item);
  const facet = (item, key) => item.querySelector("." + key)?.textContent ?? "";

  function chosen() {
    const words = controls.querySelector("input").value.toLowerCase().split(/\s+/).filter(Boolean);
    const facets = all(controls, "select").filter((s) => s.value);
    return items.filter((item) =>
      words.every((word) => text(item).includes(word)) &&
      facets.every((s) => facet(item, s.dataset.facet) === s.value));
  }

  function show() {
    const found = chosen();
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

  function sortBy(head, kind, column) {
    const down = head.getAttribute("aria-sort") === "ascending";
    all(root, "th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keys = new Map(items.map((item) => [item, key(item, column, kind)]));
    const sign = down ? -1 : 1;
    order = (one, other) => {
      const a = keys.get(one), b = keys.get(other);
      if (a === null || b === null) return (a === null) - (b === null); // items without a value come last
      return sign * (kind === "text" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
    };
    show();
  }

  all(root, "th[data-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const column = [...head.parentNode.children].indexOf(head);
    button.addEventListener("click", () => sortBy(head, head.dataset.sort, column));
  });
  controls.hidden = items.length < 4;
  controls.addEventListener("input", () => { most = first; show(); });
  controls.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => { most += STEP; show(); });
  more.hidden = items.length <= most;
  root.items = root.shown = items;
}

// Charts

const SVG = "http://www.w3.org/2000/svg";

function svg(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

const style = (color) => `c${color % 7} d${Math.floor(color / 7) % 4}`;
const known = (values) => values.filter((v) => v !== null && v !== undefined);

function scale(axis, values, from, to) {
  const able = axis.log ? values.filter((v) => v > 0) : values;
  const at = axis.log ? Math.log : (v) => v;
  let low = at(Math.min(...able)), high = at(Math.max(...able));
  if (!able.length) [low, high] = [0, 1];
  if (!(high > low)) [low, high] = [low - 0.5, high + 0.5];
  const place = (v) => from + (at(v) - low) / (high - low) * (to - from);
  return { place, ticks: ticks(axis.log, axis.log ? Math.exp(low) : low, axis.log ? Math.exp(high) : high) };
}

function ticks(log, low, high, most = 5) {
  const near = (high - low) * 1e-9;
  if (!log || high / low < 3) {
    const size = 10 ** Math.floor(Math.log10((high - low) / 3));
    const step = [1, 2, 5, 10].map((s) => s * size).find((s) => (high - low) / s <= most) ?? high - low;
    const first = Math.ceil((low - near) / step), count = Math.floor((high + near) / step) - first;
    return Array.from({ length: count + 1 }, (_, n) => Number(((first + n) * step).toPrecision(10)));
  }
  const found = [], wide = Math.log10(high / low);
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++)
    for (const step of wide > 3 ? [1] : wide > 1.4 ? [1, 3] : [1, 2, 5])
      found.push(Number((step * 10 ** decade).toPrecision(3)));
  const inside = found.filter((v) => v >= low - near && v <= high + near);
  return inside.filter((_, n) => n % Math.ceil(inside.length / 6) === 0);
}

function label(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

function draw(plot, chart, height, small) {
  const width = Math.max(plot.clientWidth, 200);
  const lines = (chart.lines ?? []).map((line) => ({ x: chart.at, ...line })), dots = chart.dots ?? [], flags = chart.flags ?? [];
  const xs = known([...lines.flatMap((l) => l.x), ...dots.map((d) => d.x), ...flags.map((f) => f.x)]);
  let ys = known([...lines.flatMap((l) => l.y), ...dots.map((d) => d.y), chart.floor]);
  if (chart.y.ends) ys = chart.y.ends;
  const box = { left: 44, right: width - 10, top: 8, bottom: height - (chart.x.label ? 36 : 20) };
  const x = scale(chart.x, xs, box.left, box.right), y = scale(chart.y, ys, box.bottom, box.top);
  const root = document.createElementNS(SVG, "svg");
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.setAttribute("aria-hidden", "true");
  frame(root, chart, box, x, y);
  const clamp = (v) => Math.max(box.top - 4, Math.min(box.bottom, v));
  const point = (a, b) => `${x.place(a).toFixed(1)} ${clamp(y.place(b)).toFixed(1)}`;
  const fine = (v) => v !== null && v !== undefined && (!chart.y.log || v > 0);
  if (fine(chart.floor)) {
    const at = y.place(chart.floor);
    if (at <= box.bottom + 1) {
      const mark = svg(root, "line", { class: "floor", x1: box.left, x2: box.right, y1: at, y2: at });
      svg(mark, "title", {}, `floor ${chart.floor}`);
    }
  }
  lines.forEach((line) => band(root, line, point, fine));
  lines.forEach((line) => path(root, line, point, fine));
  const front = dots.filter((dot) => dot.on);
  if (front.length > 1) svg(root, "path", { class: "front", d: "M" + front.map((d) => point(d.x, d.y)).join("L") });
  dots.forEach((dot) => {
    const shape = { class: `dot ${dot.on ? "on" : "off"} c${dot.color % 7}`, cx: x.place(dot.x), cy: y.place(dot.y), r: dot.on ? 6 : 4.5 };
    const made = svg(root, "circle", shape);
    made.dataset.name = dot.tricks;
    svg(made, "title", {}, `${dot.name}: ${dot.y} in ${dot.x} s`);
  });
  if (chart.direct && !small) ends(root, lines.filter((l) => known(l.y).length), x, y, clamp);
  flags.forEach((flag, n) => {
    const at = x.place(flag.x), late = at > (box.left + box.right) / 2;
    const mark = svg(root, "line", { class: "flag-line", x1: at, x2: at, y1: box.top, y2: box.bottom });
    svg(mark, "title", {}, flag.name);
    const place = { class: "flag-name", x: at + (late ? -5 : 5), y: box.top + 10 + 13 * n, "text-anchor": late ? "end" : "start" };
    if (!small && n < 6) svg(root, "text", place, flag.short);
  });
  plot.replaceChildren(root);
  plot.drawn = width;
}

function frame(root, chart, box, x, y) {
  for (const tick of y.ticks) {
    const at = y.place(tick);
    svg(root, "line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at });
    svg(root, "text", { x: box.left - 6, y: at + 4, "text-anchor": "end" }, label(tick));
  }
  x.ticks.forEach((tick) => {
    const at = x.place(tick);
    const anchor = at > box.right - 12 ? "end" : at < box.left + 12 ? "start" : "middle";
    svg(root, "text", { x: at, y: box.bottom + 15, "text-anchor": anchor }, label(tick));
  });
  const middle = (box.left + box.right) / 2;
  if (chart.x.label) svg(root, "text", { x: middle, y: box.bottom + 31, "text-anchor": "middle" }, chart.x.label);
}

function path(root, line, point, fine) {
  const parts = line.x.map((v, n) => [v, line.y[n]]).filter(([, v]) => fine(v)).map(([a, b]) => point(a, b));
  if (!parts.length) return;
  const made = svg(root, "path", { class: `line ${style(line.color)}`, d: "M" + parts.join("L") });
  made.dataset.name = line.name;
  svg(made, "title", {}, line.name);
}

function ends(root, lines, x, y, clamp) { // names at the ends of lines, without overlaps
  let last = -Infinity;
  const places = lines.map((line) => ({ line, n: line.y.findLastIndex((v) => v !== null) }))
    .map(({ line, n }) => ({ line, x: x.place(line.x[n]), y: clamp(y.place(line.y[n])) - 6 }))
    .sort((one, other) => one.y - other.y);
  for (const place of places) {
    last = Math.max(place.y, last + 13, 12);
    svg(root, "text", { class: `end c${place.line.color % 7}`, x: place.x, y: last, "text-anchor": "end" }, place.line.name);
  }
}

function band(root, line, point, fine) {
  if (!line.low) return;
  const inside = line.x.map((_, n) => n).filter((n) => fine(line.low[n]) && fine(line.high[n]));
  if (inside.length < 2) return;
  const upper = inside.map((n) => point(line.x[n], line.high[n]));
  const lower = inside.map((n) => point(line.x[n], line.low[n])).reverse();
  const made = svg(root, "path", { class: `band c${line.color % 7}`, d: "M" + [...upper, ...lower].join("L") + "Z" });
  made.dataset.name = line.name;
}

function drawPlot(plot) {
  const small = plot.closest(".card") !== null;
  const wide = plot.clientWidth || 320;
  draw(plot, data(plot.parentNode.querySelector("script")), small ? 170 : Math.round(Math.max(220, Math.min(340, wide * 0.66))), small);
  dimmed(plot.closest(".drawn"), [plot]);
}

// Legend: selecting a name dims all other lines

function dimmed(section, plots) {
  const name = section?.querySelector(".legend [aria-pressed=true]")?.dataset.name;
  for (const plot of plots) for (const mark of all(plot, "[data-name]"))
    mark.classList.toggle("dim", name !== undefined && mark.dataset.name !== name);
}

all(document, ".legend button").forEach((button) => button.addEventListener("click", () => {
  const section = button.closest(".drawn"), pressed = button.getAttribute("aria-pressed") === "true";
  all(section, ".legend button").forEach((other) => other.setAttribute("aria-pressed", "false"));
  button.setAttribute("aria-pressed", String(!pressed));
  dimmed(section, all(section, ".plot"));
}));

// Pictures and charts are loaded shortly before they scroll into view

let album = null;
const picture = (name) => (album ??= data(document.getElementById("album")))[name];

function fill(target) {
  if (target.matches("img")) target.src = picture(target.dataset.picture);
  else drawPlot(target);
}

const watcher = new IntersectionObserver((entries) => entries.filter((e) => e.isIntersecting).forEach((entry) => {
  watcher.unobserve(entry.target);
  fill(entry.target);
}), { rootMargin: "400px" });

const waiting = (root) => all(root, ".plot, img[data-picture]")
  .filter((target) => !target.closest("[hidden]") && !target.drawn && !target.src);

function lookFor(root) {
  waiting(root).forEach((target) => watcher.observe(target));
}

let resized;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => all(document, ".plot").filter((p) => p.drawn && p.clientWidth && Math.abs(p.drawn - p.clientWidth) > 8).forEach(drawPlot), 150);
});
addEventListener("beforeprint", () => {
  all(document, "details").forEach((part) => { part.open = true; });
  waiting(document).forEach(fill);
});

// Enlarged cards

const closer = document.getElementById("closer");
let looked = null; // the enlarged card

function look(card) {
  looked = card;
  document.getElementById("closer-title").replaceChildren(...card.querySelector("h3").cloneNode(true).childNodes);
  const body = closer.querySelector(".closer-body");
  const told = all(card, ".value, .flag").map((line) => line.cloneNode(true));
  const seen = all(card, "img").map((image) => figure(image.dataset.kind, large(image)));
  const left = document.createElement("div"), right = document.createElement("div");
  left.append(...seen);
  right.append(...told, ...all(card, ".panel").map((panel) => {
    const copy = panel.cloneNode(true);
    copy.hidden = false;
    return copy;
  }));
  body.replaceChildren(...[left, right].filter((part) => part.children.length));
  const cards = shown(), place = cards.indexOf(card);
  all(closer, "[data-turn]").forEach((button) => { button.disabled = !cards[place + Number(button.dataset.turn)]; });
  if (!closer.open) closer.showModal();
  if (document.activeElement.disabled) closer.querySelector("[data-close]").focus();
  all(body, ".plot").forEach(drawPlot);
}

function large(image) {
  const made = document.createElement("img");
  made.src = picture(image.dataset.picture);
  made.alt = image.alt;
  return made;
}

function figure(caption, content) {
  const made = document.createElement("figure"), title = document.createElement("figcaption");
  made.className = "panel";
  title.textContent = caption;
  made.append(title, content);
  return made;
}

const cardOf = (number) => document.querySelector("#arms .shelf").items.find((card) => card.id === `arm-${number}`);
const shown = () => document.querySelector("#arms .shelf").shown;

function turn(step) {
  const cards = shown(), next = cards[cards.indexOf(looked) + step];
  if (next) look(next);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest(".open");
  if (button) look(button.closest(".card") ?? cardOf(button.dataset.arm));
});
all(closer, "[data-turn]").forEach((button) => button.addEventListener("click", () => turn(Number(button.dataset.turn))));
closer.querySelector("[data-close]").addEventListener("click", () => closer.close());
closer.addEventListener("click", (event) => { if (event.target === closer) closer.close(); });
document.addEventListener("keydown", (event) => {
  if (!closer.open) return;
  if (event.key === "ArrowRight") turn(1);
  if (event.key === "ArrowLeft") turn(-1);
});

all(document, ".shelf").forEach(shelf);
lookFor(document);
