// Downloads: tables as CSV and LaTeX, charts as SVG, PNG and CSV, made from what the page holds. Saved charts have
// the colours of the light page.

const suiteName = document.querySelector("h1").textContent;
const fileName = (title, kind) => `${`${suiteName}-${title}`.replace(/[^\p{L}\p{N}._-]+/gu, "-").slice(0, 100).replace(/^-+|-+$/g, "")}.${kind}`;

function save(name, content, type) {
  const link = html("a", { download: name, href: URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type })) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Tables. A cell with a name becomes several columns; the small note of a number becomes its own column

const NAME_PARTS = { t: "tricks", v: "variant", l: "loss", p: "plan" };

function columnsOf(table, rows) {
  const heads = all(table.tHead.rows[table.tHead.rows.length - 1], "th");
  return heads.flatMap((head, n) => {
    if (head.matches(".plot-head") || table.hiddenColumns?.has(n)) return [];
    const cells = rows.map((row) => row.children[n]), name = columnName(head);
    const parts = Object.keys(NAME_PARTS).filter((part) => cells.some((cell) => cell?.querySelector(`.${part}`)));
    if (parts.length) return parts.map((part) => ({ name: NAME_PARTS[part], cells, of: (cell) => collapse(cell.querySelector(`.${part}`)?.textContent ?? "") }));
    return valueColumns(name, cells);
  });
}

function valueColumns(name, cells) {
  const bare = (cell) => { const copy = cell.cloneNode(true); all(copy, "small, .hidden, button").forEach((part) => part.remove()); return collapse(copy.textContent); };
  const value = { name, cells, of: bare, exact: (cell) => cell.dataset.v ?? bare(cell) };
  const note = { name: `${name}, interval or error`, cells, of: (cell) => collapse(all(cell, "small").map((part) => part.textContent).join(" ")) };
  return cells.some((cell) => cell && note.of(cell)) ? [value, note] : [value];
}

function tableTexts(table, isExact) {
  const list = table.closest(".shelf"), body = table.querySelector("tbody[data-items]");
  const rows = body && list ? [...all(table, "tbody:not([data-items]) tr"), ...list.shown] : all(table, "tbody tr:not(.group)");
  const columns = columnsOf(table, rows);
  const texts = rows.map((_, n) => columns.map((column) => {
    const cell = column.cells[n];
    return cell ? (isExact && column.exact ? column.exact(cell) : column.of(cell)) : "";
  }));
  return [columns.map((column) => column.name), ...texts];
}

const csvCell = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
// Programs read the hyphen of numbers, not the minus sign.
const csvText = (rows) => rows.map((row) => row.map((cell) => csvCell(String(cell).replaceAll("−", "-"))).join(",")).join("\n") + "\n";

const LATEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "−": "$-$", "±": "$\\pm$", "×": "$\\times$", "≈": "$\\approx$", "↓": "$\\downarrow$", "↑": "$\\uparrow$", "–": "--", "·": "$\\cdot$" };
const latexCell = (text) => text.replace(/[\\&%$#_{}~^−±×≈↓↑–·]/g, (sign) => LATEX[sign] ?? `\\${sign}`);

function latexText([names, ...rows]) {
  const line = (cells) => `${cells.map(latexCell).join(" & ")} \\\\`;
  return [`% needs \\usepackage{booktabs}`, `\\begin{tabular}{${"l".repeat(names.length)}}`, "\\toprule", line(names), "\\midrule",
    ...rows.map(line), "\\bottomrule", "\\end{tabular}", ""].join("\n");
}

function addTableTools(box) {
  const table = box.querySelector("table"), title = box.getAttribute("aria-label");
  if (!table?.tHead || box.tools) return;
  box.tools = html("p", { className: "tools" },
    button("CSV", `${title} as CSV`, () => save(fileName(title, "csv"), csvText(tableTexts(table, true)), "text/csv")),
    button("LaTeX", `${title} as LaTeX`, () => save(fileName(title, "tex"), latexText(tableTexts(table, false)), "application/x-tex")));
  if (table.matches(".heat, .answers, .forest table")) box.tools.prepend(...pictureButtons(title, () => tableSource(table)));
  box.after(box.tools);
}

function pictureButtons(title, draw) {
  return [
    button("SVG", `${title} as SVG`, () => save(fileName(title, "svg"), draw().text, "image/svg+xml")),
    button("PNG", `${title} as PNG`, () => savePng(fileName(title, "png"), draw())),
  ];
}

// Charts, with the styles of the page written into their elements

function inLightColours(make) {
  document.documentElement.classList.add("light");
  try { return make(); } finally { document.documentElement.classList.remove("light"); }
}

function finishDrawing(root, width, height) {
  const paper = document.createElementNS(SVG, "rect"), style = getComputedStyle(document.body);
  Object.entries({ width, height, fill: style.backgroundColor }).forEach(([key, value]) => paper.setAttribute(key, value));
  Object.entries({ xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}`, "font-family": style.fontFamily }).forEach(([key, value]) => root.setAttribute(key, value));
  root.prepend(paper);
  return { text: new XMLSerializer().serializeToString(root), width, height };
}

const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight"];

function chartSource(plot) {
  const original = plot.querySelector("svg"), copy = original.cloneNode(true), marks = all(original, "*");
  all(copy, "*").forEach((mark, n) => {
    if (mark.tagName === "title") return;
    const computed = getComputedStyle(marks[n]);
    mark.setAttribute("style", STYLES.map((key) => `${key}:${computed.getPropertyValue(key)}`).join(";"));
    mark.removeAttribute("class");
  });
  const [, , width, height] = original.getAttribute("viewBox").split(" ").map(Number);
  const names = dotNames(plot);
  names.forEach(([name, dot], n) => {
    const y = height + 12 + 17 * n;
    svg(copy, "circle", { cx: 50, cy: y - 4, r: 4.5, fill: getComputedStyle(dot).color });
    svg(copy, "text", { x: 62, y, "font-size": 12, fill: getComputedStyle(document.body).color }, name);
  });
  return finishDrawing(copy, width, height + 17 * names.length + (names.length ? 6 : 0));
}

const dotNames = (plot) => [...new Map(all(plot, "circle.dot:not(.rest)").map((dot) => [dot.dataset.name, dot]))]; // in colour

function savePng(name, { text, width, height }) {
  const image = new Image(), canvas = html("canvas", { width: 3 * width, height: 3 * height });
  image.onload = () => {
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save(name, blob));
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
}

function chartRows(chart) {
  if (chart.dots) return [["name", chart.x.label, chart.y.label, "on the front"], ...chart.dots.map((dot) => [dot.name, dot.x, dot.y, dot.on])];
  const axes = chart.axes ?? [{ ...chart.x, name: "x" }], hasRange = chart.lines.some((line) => line.low);
  const at = (line, axis) => axis.at ?? line[axis.name] ?? chart.at;
  const rows = chart.lines.flatMap((line) => line.y.map((y, n) =>
    [line.name, ...axes.map((axis) => at(line, axis)[n]), y, ...(hasRange ? [line.low?.[n], line.high?.[n]] : [])].map((v) => v ?? "")));
  return [["line", ...axes.map((axis) => axis.label), chart.y.label || "value", ...(hasRange ? ["low", "high"] : [])], ...rows];
}

function addChartTools(plot) {
  if (plot.tools || plot.closest(".card")) return;
  const caption = plot.parentNode.querySelector("figcaption").textContent, section = plot.closest("section");
  const group = plot.closest(".panels")?.previousElementSibling, data = group?.matches("h3") ? `${group.textContent} ` : "";
  const title = `${section?.id ?? "arm"} ${data}${collapse(caption)}`;
  const drawn = () => { if (!plot.drawn) drawPlot(plot); return inLightColours(() => chartSource(plot)); };
  plot.tools = html("p", { className: "tools" }, ...pictureButtons(title, drawn),
    button("CSV", `${title} as CSV`, () => save(fileName(title, "csv"), csvText(chartRows(chartOf(plot))), "text/csv")));
  plot.after(plot.tools);
}
