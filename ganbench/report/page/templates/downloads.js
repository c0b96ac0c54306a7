// Downloads: tables as CSV and LaTeX, charts as SVG, PNG and CSV, made from what the page holds.

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
const csvText = (rows) => rows.map((row) => row.map((cell) => csvCell(String(cell))).join(",")).join("\n") + "\n";

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
  box.after(box.tools);
}

// Charts, with the styles of the page written into their elements

const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight"];

function chartSource(plot) {
  const original = plot.querySelector("svg"), copy = original.cloneNode(true), marks = all(original, "*");
  all(copy, "*").forEach((mark, n) => {
    if (mark.tagName === "title") return;
    const computed = getComputedStyle(marks[n]);
    mark.setAttribute("style", STYLES.map((key) => `${key}:${computed.getPropertyValue(key)}`).join(";"));
    mark.removeAttribute("class");
  });
  const [, , width, height] = original.getAttribute("viewBox").split(" ");
  copy.setAttribute("xmlns", SVG);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const paper = document.createElementNS(SVG, "rect");
  Object.entries({ width, height, fill: getComputedStyle(document.body).backgroundColor }).forEach(([key, value]) => paper.setAttribute(key, value));
  copy.prepend(paper);
  return { text: new XMLSerializer().serializeToString(copy), width: Number(width), height: Number(height) };
}

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
  const title = `${section?.id ?? "arm"} ${collapse(caption)}`;
  const drawn = () => { if (!plot.drawn) drawPlot(plot); return chartSource(plot); };
  plot.tools = html("p", { className: "tools" },
    button("SVG", `${title} as SVG`, () => save(fileName(title, "svg"), drawn().text, "image/svg+xml")),
    button("PNG", `${title} as PNG`, () => savePng(fileName(title, "png"), drawn())),
    button("CSV", `${title} as CSV`, () => save(fileName(title, "csv"), csvText(chartRows(chartOf(plot))), "text/csv")));
  plot.after(plot.tools);
}
