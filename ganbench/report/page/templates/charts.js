// Charts as SVG: lines with bands, dots, a floor and flags.

const style = (color) => `c${color % 7} d${Math.floor(color / 7) % 8}`;

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
  if (size >= 1e6) return minus(`${Number((value / 1e6).toPrecision(3))}M`);
  if (size >= 1e4) return minus(`${Number((value / 1e3).toPrecision(3))}k`);
  return minus(Number(value.toPrecision(3)));
}

function xAxis(chart, name) { // charts may offer several axes: images, steps and seconds
  const axis = chart.axes?.find((each) => each.name === name) ?? chart.axes?.[0];
  return axis ? { log: false, ...axis, of: (line) => axis.at ?? line[axis.name] }
    : { ...chart.x, of: (line) => line.x ?? chart.at };
}

function draw(plot, chart, height, options) {
  const { isSmall = false, chosen = null, axisName = null } = options;
  const width = Math.max(plot.clientWidth, 200), axis = xAxis(chart, axisName);
  const inFront = (name) => chosen === null || chosen.has(name);
  const lines = (chart.lines ?? []).map((line, n) => ({ color: n + 1, ...line, x: axis.of(line), isRest: !inFront(line.name) }))
    .sort((one, other) => other.isRest - one.isRest);
  const dots = (chart.dots ?? []).map((dot) => ({ ...dot, isRest: !inFront(dot.line) }))
    .sort((one, other) => other.isRest - one.isRest);
  const flags = chart.flags ?? [];
  const ended = isSmall || chart.direct === false ? [] : lines.filter((line) => !line.isRest && known(line.y).length);
  const names = shortNames(ended.map((line) => line.name));
  const margin = ended.length ? Math.min(0.36 * width, 12 + 6.9 * Math.max(...names.map((name) => name.length))) : 10;
  const xs = known([...lines.flatMap((l) => l.x), ...dots.map((d) => d.x), ...flags.map((f) => f.x)]);
  let ys = known([...lines.flatMap((l) => l.y), ...dots.map((d) => d.y), chart.floor]);
  if (chart.y.ends) ys = chart.y.ends;
  const box = { left: 44, right: width - margin, top: chart.y.label && !isSmall ? 22 : 8, bottom: height - (axis.label ? 36 : 20) };
  const inset = dots.length ? 9 : 0; // dots do not cover the labels of the axis
  const x = scale(axis, xs, box.left + inset, box.right - inset), y = scale(chart.y, ys, box.bottom, box.top);
  const root = document.createElementNS(SVG, "svg");
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.setAttribute("aria-hidden", "true");
  frame(root, axis, box, x, y);
  if (box.top > 8) svg(root, "text", { x: 0, y: 11 }, chart.y.label);
  const clamp = (v) => Math.max(box.top - 4, Math.min(box.bottom, v));
  const point = (a, b) => `${x.place(a).toFixed(1)} ${clamp(y.place(b)).toFixed(1)}`;
  const fine = (v) => v !== null && v !== undefined && (!chart.y.log || v > 0);
  if (fine(chart.floor)) drawFloor(root, chart.floor, y.place(chart.floor), box);
  lines.filter((line) => !line.isRest).forEach((line) => band(root, line, point, fine));
  lines.forEach((line) => path(root, line, point, fine));
  drawDots(root, dots, x, y, point);
  nameEnds(root, ended, names, { x, y, clamp, box, width });
  drawFlags(root, flags, x, box, isSmall);
  plot.replaceChildren(root);
  plot.drawn = width;
}

function drawFloor(root, value, at, box) {
  if (at > box.bottom + 1) return;
  const mark = svg(root, "line", { class: "floor", x1: box.left, x2: box.right, y1: at, y2: at });
  svg(mark, "title", {}, `floor ${minus(value)}`);
}

function drawDots(root, dots, x, y, point) {
  const front = dots.filter((dot) => dot.on).sort((one, other) => one.x - other.x);
  if (front.length > 1) svg(root, "path", { class: "front", d: "M" + front.map((d) => point(d.x, d.y)).join("L") });
  dots.forEach((dot) => {
    const kind = `dot ${dot.on ? "on" : "off"} ${style(dot.color)}${dot.isRest ? " rest" : ""}`;
    const made = svg(root, "circle", { class: kind, cx: x.place(dot.x), cy: y.place(dot.y), r: dot.on ? 6 : 4.5 });
    made.dataset.name = dot.line;
    svg(made, "title", {}, `${dot.name}: ${minus(dot.y)} in ${minus(dot.x)} s`);
  });
}

function drawFlags(root, flags, x, box, isSmall) {
  flags.forEach((flag, n) => {
    const at = x.place(flag.x), isLate = at > (box.left + box.right) / 2;
    const mark = svg(root, "line", { class: "flag-line", x1: at, x2: at, y1: box.top, y2: box.bottom });
    svg(mark, "title", {}, flag.name);
    const place = { class: "flag-name", x: at + (isLate ? -5 : 5), y: box.top + 10 + 13 * n, "text-anchor": isLate ? "end" : "start" };
    if (!isSmall && n < 6) svg(root, "text", place, flag.short);
  });
}

function frame(root, axis, box, x, y) {
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
  if (axis.label) svg(root, "text", { x: middle, y: box.bottom + 31, "text-anchor": "middle" }, axis.label);
}

function path(root, line, point, fine) {
  const parts = line.x.map((v, n) => [v, line.y[n]]).filter(([, v]) => fine(v)).map(([a, b]) => point(a, b));
  if (!parts.length) return;
  const kind = `line ${style(line.color)}${line.isRest ? " rest" : ""}`;
  const made = svg(root, "path", { class: kind, d: "M" + parts.join("L") });
  made.dataset.name = line.name;
  svg(made, "title", {}, line.name);
}

function shortNames(names) { // without settings, or with those that differ, if they stay different
  const areDifferent = (short) => new Set(short).size === names.length;
  const bare = names.map((name) => mapParts(name, (part) => part));
  if (areDifferent(bare)) return bare;
  const shared = new Map(); // settings that all uses of a part have
  names.forEach((name) => mapParts(name, (part, settings) => {
    shared.set(part, (shared.get(part) ?? settings).filter((each) => settings.includes(each)));
  }));
  const differing = names.map((name) => mapParts(name, (part, settings) => {
    const left = settings.filter((each) => !shared.get(part).includes(each));
    return left.length ? `${part}(${left.join(", ")})` : part;
  }));
  return areDifferent(differing) ? differing : names;
}

const mapParts = (name, of) => name.split(/( · | \+ )/).map((text, n) => {
  const [, part, settings] = text.match(/^([^()]+)\((.*)\)$/) ?? [null, text, ""];
  return n % 2 ? text : of(part, settings.split(", ").filter(Boolean));
}).join("");

function nameEnds(root, lines, names, { x, y, clamp, box, width }) { // names right of the lines' ends, without overlaps
  const places = lines.map((line, number) => ({ line, number, n: line.y.findLastIndex((v) => v !== null) }))
    .map((each) => ({ ...each, at: x.place(each.line.x[each.n]), y: clamp(y.place(each.line.y[each.n])) + 4 }))
    .sort((one, other) => one.y - other.y);
  let last = -Infinity;
  for (const place of places) last = place.y = Math.max(place.y, last + 12, box.top + 4);
  let next = box.bottom + 16;
  for (const place of [...places].reverse()) next = place.y = Math.min(place.y, next - 12);
  for (const place of places) {
    const most = Math.floor((width - box.right - 8) / 6.7), name = names[place.number];
    const text = name.length > most ? `${name.slice(0, most - 1)}…` : name;
    const made = svg(root, "text", { class: `end c${place.line.color % 7}`, x: box.right + 6, y: place.y.toFixed(1) }, text);
    svg(made, "title", {}, place.line.name);
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

const chartOf = (plot) => (plot.chart ??= data(plot.parentNode.querySelector("script")));

function drawPlot(plot) {
  const isSmall = plot.closest(".card") !== null, wide = plot.clientWidth || 320;
  const height = isSmall ? 170 : Math.round(Math.max(240, Math.min(340, wide * 0.6)));
  const section = plot.closest(".drawn");
  const hasLegend = !isSmall && section?.querySelector(".legend");
  draw(plot, chartOf(plot), height, { isSmall, chosen: hasLegend ? section.chosen : null, axisName: section?.axisName });
}
