// Forest plots and heat maps as SVG. They are tables on the page; a drawing has their texts, marks and colours,
// and the same size in any window.

const TEXT_SIZE = 13, SMALL_SIZE = 11, LINE_HEIGHT = 18, COLUMN_GAP = 22, CELL_GAP = 4, PLOT_WIDTH = 300, MAX_NOTE_WIDTH = 260, MAX_REASON_WIDTH = 150;
const VERDICT_MARKS = { helps: "▲", harms: "▼", equivalent: "＝", undecided: "○" };
const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

function plainColour(colour) { // as `#rrggbb`, for programs that do not know all of CSS; empty if it is transparent
  brush.clearRect(0, 0, 1, 1);
  brush.fillStyle = colour;
  brush.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = brush.getImageData(0, 0, 1, 1).data;
  return alpha ? `#${[red, green, blue].map((v) => v.toString(16).padStart(2, "0")).join("")}` : "";
}

const colourOf = (element, property) => plainColour(getComputedStyle(element)[property]);

function runWidth({ text, size, weight }) {
  brush.font = `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;
  return brush.measureText(text).width;
}

const sum = (numbers) => numbers.reduce((total, v) => total + v, 0);
const lineWidth = (line) => sum(line.map(runWidth));

// The lines of a cell; each is a list of runs of text

function linesOf(cell) {
  const lines = [[]];
  const add = (text, element) => {
    const isKey = element.matches(".key"), size = element.closest("small") ? SMALL_SIZE : TEXT_SIZE;
    const made = { text: text.replace(/[ \t\n]+/g, " "), size, weight: getComputedStyle(element).fontWeight, color: colourOf(element, "color"), fill: isKey ? colourOf(element, "backgroundColor") : "" };
    const line = lines[lines.length - 1], last = line[line.length - 1];
    if (!line.length || last.text.endsWith(" ")) made.text = made.text.trimStart();
    if (!made.text) return;
    if (last && ["size", "weight", "color", "fill"].every((key) => last[key] === made[key])) last.text += made.text;
    else line.push(made);
  };
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return add(node.textContent, node.parentElement);
    if (node.matches(".scale, .row-scale, .bar, button")) return;
    if (node.matches("small") && getComputedStyle(node).display === "block") lines.push([]);
    if (node.matches(".verdict")) add(`${VERDICT_MARKS[node.textContent] ?? "○"} `, node);
    node.childNodes.forEach(walk);
  };
  if (!cell.matches(".plot-head")) cell.childNodes.forEach(walk);
  lines.forEach((line) => { if (line.length) line[line.length - 1].text = line[line.length - 1].text.trimEnd(); });
  return lines.filter((line) => line.length);
}

function wrapLine(line, most) { // between words
  const words = line.flatMap((run) => run.text.split(/(?<= )/).map((text) => ({ ...run, text }))), lines = [[]];
  let width = 0;
  for (const word of words) {
    const own = runWidth({ ...word, text: word.text.trimEnd() });
    if (width && width + own > most) { lines.push([]); width = 0; }
    lines[lines.length - 1].push(word);
    width += runWidth(word);
  }
  return lines;
}

// The layout: columns as wide and rows as high as their texts

function readTable(table) {
  const head = table.tHead.rows[table.tHead.rows.length - 1], isHeat = table.matches(".heat");
  const rows = [head, ...[...table.tBodies].flatMap((body) => [...body.rows])].map((row) => [...row.cells].map((cell) => {
    const lines = linesOf(cell).flatMap((line) => line[0].size === SMALL_SIZE && !cell.matches(".number") ? wrapLine(line, isHeat ? MAX_REASON_WIDTH : MAX_NOTE_WIDTH) : [line]);
    return { cell, lines, isWide: cell.colSpan > 1, width: Math.max(0, ...lines.map(lineWidth)) };
  }));
  const gap = isHeat ? CELL_GAP : COLUMN_GAP, inset = isHeat ? 10 : 0;
  const widths = rows[0].map((_, n) => rows[0][n].cell.matches(".plot-head") ? PLOT_WIDTH
    : Math.max(...rows.filter((row) => !row[0].isWide).map((row) => row[n].width)) + 2 * inset);
  const lefts = widths.map((_, n) => sum(widths.slice(0, n)) + n * gap);
  return { rows, widths, lefts, gap, inset, width: sum(widths) + (widths.length - 1) * gap };
}

function drawLine(root, line, x, y, anchor = "start") {
  let at = x - ({ start: 0, middle: 0.5, end: 1 }[anchor]) * lineWidth(line);
  const text = document.createElementNS(SVG, "text");
  line.forEach((run) => {
    const width = runWidth(run);
    if (run.fill) svg(root, "rect", { x: at - 1, y: y - 12, width: width + 2, height: 16, rx: 3, fill: run.fill });
    svg(text, "tspan", { x: at.toFixed(1), "font-size": run.size, "font-weight": run.weight, fill: run.color }, run.text);
    at += width;
  });
  text.setAttribute("y", y.toFixed(1));
  root.append(text);
}

function drawBar(root, bar, left, top, height) {
  const inner = PLOT_WIDTH - 60, place = (element, side) => left + 30 + parseFloat(element.style[side]) / 100 * inner;
  const [zero, mean, span] = ["s", "b", "u"].map((name) => bar.querySelector(name)), middle = top + height / 2;
  if (zero) svg(root, "line", { x1: place(zero, "left"), x2: place(zero, "left"), y1: top, y2: top + height, stroke: colourOf(zero, "borderLeftColor") });
  if (span) {
    const low = place(span, "left"), high = left + 30 + (100 - parseFloat(span.style.right)) / 100 * inner, color = colourOf(span, "backgroundColor");
    svg(root, "line", { x1: low, x2: high, y1: middle, y2: middle, stroke: color, "stroke-width": 3 });
    const arrow = (x, way) => svg(root, "path", { d: `M${x} ${middle - 5}L${x + 7 * way} ${middle}L${x} ${middle + 5}Z`, fill: color });
    if (span.matches(".cut-low")) arrow(low, -1);
    if (span.matches(".cut-high")) arrow(high, 1);
  }
  svg(root, "circle", { cx: place(mean, "left"), cy: middle, r: 4.5, fill: colourOf(mean, "backgroundColor"), stroke: colourOf(mean, "borderTopColor"), "stroke-width": 2.5 });
}

function drawScale(root, head, left, y) {
  all(head, ".scale i").forEach((tick) => {
    const x = left + 30 + parseFloat(tick.style.left) / 100 * (PLOT_WIDTH - 60);
    svg(root, "text", { x, y, "text-anchor": "middle", "font-size": SMALL_SIZE, fill: colourOf(tick, "color") }, tick.textContent);
  });
}

function drawCell(root, entry, { left, width, inset, top, height }) {
  const { cell, lines } = entry, style = getComputedStyle(cell), isHeat = cell.matches(".heat td, .heat thead th:not(:first-child)");
  const fill = isHeat && colourOf(cell, "backgroundColor"), frame = isHeat && colourOf(cell, "borderTopColor");
  if (fill || (frame && cell.matches("td"))) svg(root, "rect", { x: left, y: top + 1, width, height: height - 2, rx: 5, fill: fill || "none", stroke: (cell.matches("td") && frame) || "none", "stroke-width": 2 });
  const anchor = isHeat ? "middle" : style.textAlign === "right" ? "end" : "start";
  const x = left + { start: inset, middle: width / 2, end: width - inset }[anchor];
  const first = top + (height - LINE_HEIGHT * lines.length) / 2 + 13;
  lines.forEach((line, n) => drawLine(root, line, x, first + n * LINE_HEIGHT, anchor));
  const bar = cell.querySelector(".bar");
  if (bar) drawBar(root, bar, left, top, height);
  if (cell.matches(".plot-head")) drawScale(root, cell, left, top + height / 2 + 4);
}

function tableSource(table) { // as text with its width and height
  return inLightColours(() => {
    const layout = readTable(table), pad = 16, width = Math.ceil(layout.width + 2 * pad);
    const root = document.createElementNS(SVG, "svg"), ink = colourOf(table, "color"), rule = colourOf(table.tBodies[0].rows[0].cells[0], "borderBottomColor");
    let top = pad;
    linesOf(table.caption).flatMap((line) => wrapLine(line, layout.width)).forEach((line) => { drawLine(root, line, pad, top + 13); top += LINE_HEIGHT; });
    top += 6;
    layout.rows.forEach((row, number) => {
      const height = LINE_HEIGHT * Math.max(1, ...row.map((entry) => entry.lines.length)) + 10;
      row.forEach((entry, n) => drawCell(root, entry, { left: pad + layout.lefts[n], width: layout.widths[n], inset: layout.inset, top, height }));
      top += height;
      if (!table.matches(".heat")) svg(root, "line", { x1: pad, x2: width - pad, y1: top, y2: top, stroke: number ? rule : ink });
    });
    return finishDrawing(root, width, Math.ceil(top + pad));
  });
}
