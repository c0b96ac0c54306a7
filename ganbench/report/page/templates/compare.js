// Two arms side by side: pictures, curves on one axis, and the difference of each metric with its interval.

const arms = (() => {
  const content = data(document.getElementById("arm-data"));
  content.byKey = new Map(content.arms.map((arm) => [arm.key, arm]));
  content.byNumber = new Map(content.arms.map((arm) => [arm.n, arm]));
  return content;
})();

const digits = (v) => minus(Math.abs(v) >= 100 ? Math.round(v).toLocaleString("en") : Number(v.toPrecision(3)));
const signed = (v) => `${v > 0 ? "+" : ""}${digits(v)}`;

function formatChange(v, transform) { // of logarithmic metrics in percent, or as a factor above two
  if (transform === "none") return signed(v);
  const ratio = Math.exp(v);
  if (transform === "logit" || ratio >= 3) return `× ${digits(ratio)}`;
  const change = 100 * (ratio - 1);
  return minus(`${change > 0 ? "+" : ""}${Math.abs(change) < 0.5 ? Number(change.toPrecision(1)) : Math.round(change)} %`);
}

function compareMetric(metric, place, one, other) {
  const to = toScale[metric.transform], scaled = (arm) => arm.values[place].map((v) => (v === null ? null : to(v)));
  const isPaired = arms.paired && one.network === other.network;
  return { ...differenceOf(scaled(one), scaled(other), isPaired), isPaired };
}

function describeChange(change, metric) {
  if (Number.isNaN(change.mean)) return "no common values";
  const mean = formatChange(change.mean, metric.transform);
  if (Number.isNaN(change.low)) return `${mean} [no interval]`;
  return `${mean} [${formatChange(change.low, metric.transform)}, ${formatChange(change.high, metric.transform)}]`;
}

function verdictOf(change, isLower) {
  if (!(change.p < 0.05)) return "undecided";
  return (change.mean < 0) === isLower ? "better" : "worse";
}

function cells(name, texts, classes = []) {
  return html("tr", {}, ...texts.map((text, n) => html(n ? name : "th", { className: classes[n] ?? "" }, text)));
}

function markHeads(row, scope) {
  all(row, "th").forEach((head) => { head.scope = scope; });
  return row;
}

const areComparable = (one, other) => one.data === other.data; // other data have another protocol

function testOf(one, other) {
  if (one.network !== other.network) return "by Welch's test, as the arms are of different networks";
  return arms.paired ? "paired by seed" : "by Welch's test, as the suite declares no pairs";
}

function describeDifference(one, other) {
  if (!areComparable(one, other)) return `A is of ${one.data} and B of ${other.data}: values of different data sets are not comparable.`;
  return `Difference of A to B with its 95\u00a0% interval, ${testOf(one, other)}. One comparison, not corrected for others. ` +
    "Changes of logit metrics are factors of the odds.";
}

function compareCells(metric, place, one, other) { // the last three cells of a metric's row, and the numbers of its data attributes
  if (!areComparable(one, other)) return { texts: ["not comparable: other data", "", ""], tone: "", numbers: {} };
  const change = compareMetric(metric, place, one, other), verdict = verdictOf(change, metric.lower), { mean, low, high, p } = change;
  const texts = [describeChange(change, metric), verdict, Number.isNaN(p) ? "" : minus(p.toPrecision(2))];
  return { texts, tone: { better: "helps", worse: "harms" }[verdict] ?? "", numbers: { mean, low, high, p } };
}

function differenceTable(one, other) {
  const table = html("table", { className: "plain difference" }), sides = [one, other];
  table.append(html("caption", {}, html("span", { className: "said" }, `A: ${one.title}. B: ${other.title}. ${describeDifference(one, other)}`)));
  const head = html("thead", {}, markHeads(cells("th", ["metric", "A", "B", "A against B", "A is", "p"], ["", "number", "number", "number", "", "number"]), "col"));
  const body = html("tbody");
  arms.metrics.forEach((metric, place) => {
    if (!known([...one.values[place], ...other.values[place]]).length) return;
    const means = sides.map((arm) => meanOnScale(known(arm.values[place]), metric.transform));
    const { texts, tone, numbers } = compareCells(metric, place, one, other);
    const row = cells("td", [metric.title, ...means, ...texts], ["", "number", "number", "number", `verdict ${tone}`, "number"]);
    Object.assign(row.dataset, { metric: metric.name, ...numbers });
    body.append(markHeads(row, "row"));
  });
  table.append(head, body);
  return table;
}

function meanOnScale(values, transform) {
  if (!values.length) return "";
  const mean = meanOf(values.map(toScale[transform]));
  const back = { none: mean, log: Math.exp(mean), logit: 1 / (1 + Math.exp(-mean)) }[transform];
  return digits(values.every((v) => v === values[0]) ? values[0] : back);
}

function seedTable(one, other) {
  const metric = arms.metrics[0], table = html("table", { className: "plain seeds-table" });
  table.append(html("caption", {}, html("span", { className: "said" }, `${metric.title} seed by seed; a missing value is a training without a result`)));
  table.append(html("thead", {}, markHeads(cells("th", ["seed", "A", "B", "A against B"], ["", "number", "number", "number"]), "col")));
  table.append(html("tbody", {}, ...arms.seeds.map((seed, n) => {
    const [a, b] = [one.values[0][n], other.values[0][n]], to = toScale[metric.transform];
    const change = a === null || b === null || !areComparable(one, other) ? "" : formatChange(to(a) - to(b), metric.transform);
    return markHeads(cells("td", [String(seed), a === null ? "–" : digits(a), b === null ? "–" : digits(b), change], ["", "number", "number", "number"]), "row");
  })));
  return table;
}

function curveOf(arm) { // the mean and range over seeds from the arm's card
  const chart = all(cardOf(arm.n) ?? document.createElement("i"), "script").map(data).find((each) => each.at);
  if (!chart) return null;
  const columns = chart.at.map((_, n) => known(chart.lines.map((line) => line.y[n])));
  const to = chart.y.log ? Math.log : (v) => v, back = chart.y.log ? Math.exp : (v) => v;
  const over = (how) => columns.map((values) => (values.length ? how(values) : null));
  return { chart, line: { x: chart.at, y: over((v) => back(meanOf(v.map(to)))), low: over((v) => Math.min(...v)), high: over((v) => Math.max(...v)) } };
}

function curvePanel(one, other) {
  const curves = areComparable(one, other) ? [one, other].map(curveOf) : [];
  if (!curves[0] || !curves[1]) return null;
  const lines = curves.map(({ line }, n) => ({ ...line, name: "AB"[n], color: 2 - n }));
  const { x, y, floor } = curves[0].chart;
  const panel = figure(`${y.label} by step: the mean over seeds and their range`, html("div", { className: "plot" }));
  const plot = panel.querySelector(".plot");
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", `${y.label} by step of A, ${one.key}, and B, ${other.key}`);
  plot.chart = { x, y, floor, lines };
  return panel;
}

function sampleFigures(one, other) {
  const images = [one, other].map((arm) => all(cardOf(arm.n) ?? document.createElement("i"), "img[data-picture]"));
  return images[0].flatMap((image) => {
    const twin = images[1].find((each) => each.dataset.kind === image.dataset.kind);
    return twin ? [figure(`A: ${image.dataset.kind}`, large(image)), figure(`B: ${image.dataset.kind}`, large(twin))] : [];
  });
}

function setUpCompare(section) {
  const [first, second] = all(section, "select"), result = section.querySelector(".compared");
  const groups = Map.groupBy ? Map.groupBy(arms.arms, (arm) => arm.group) : arms.arms.reduce((map, arm) => map.set(arm.group, [...(map.get(arm.group) ?? []), arm]), new Map());
  [first, second].forEach((select) => groups.forEach((members, group) => {
    const options = members.map((arm) => new Option(arm.title, arm.key));
    if (group) select.append(html("optgroup", { label: group }, ...options));
    else select.append(...options); // one group has no name
  }));
  const bestOther = (arm, isNear) => arms.arms.find((other) => other !== arm && isNear(other));
  const baseline = (arm) => bestOther(arm, (other) => other.background === arm.background && other.tricks === "none");
  const partner = (arm) => baseline(arm) ?? bestOther(arm, (other) => other.group === arm.group) ?? bestOther(arm, (other) => areComparable(arm, other)) ?? bestOther(arm, () => true);
  const start = [arms.arms.find(baseline) ?? arms.arms[0]];
  start.push(partner(start[0]));

  function show() {
    const [one, other] = [first, second].map((select) => arms.byKey.get(select.value));
    const panel = curvePanel(one, other), samples = sampleFigures(one, other);
    const tables = [differenceTable, seedTable].map((make) => html("div", { className: "scroll", tabIndex: 0 }, make(one, other)));
    tables.forEach((box, n) => { box.setAttribute("role", "region"); box.setAttribute("aria-label", ["Differences of A and B", "A and B seed by seed"][n]); });
    result.replaceChildren(...[tables[0], html("div", { className: "columns" }, ...[panel, html("div", {}, tables[1])].filter(Boolean)), html("div", { className: "pairs" }, ...samples)]);
    tables.forEach(addTableTools);
    if (panel) { drawPlot(panel.querySelector(".plot")); addChartTools(panel.querySelector(".plot")); }
  }

  function pick(one, other) {
    first.value = one.key;
    second.value = other.key;
    section.isPicked = one !== start[0] || other !== start[1];
    show();
  }

  first.addEventListener("change", () => {
    const arm = arms.byKey.get(first.value);
    pick(arm, baseline(arm) ?? arms.byKey.get(second.value));
    saveView(true);
  });
  second.addEventListener("change", () => { pick(arms.byKey.get(first.value), arms.byKey.get(second.value)); saveView(true); });
  section.querySelector("[data-swap]").addEventListener("click", () => { pick(arms.byKey.get(second.value), arms.byKey.get(first.value)); saveView(true); });
  pick(...start);
  section.compareWithNone = (arm) => { pick(arm, partner(arm)); saveView(false); };
  viewParts.push({
    root: section,
    write(values) { if (section.isPicked) values.set("compare", `${first.value}|${second.value}`); },
    apply(values) {
      const before = first.value + second.value;
      const wanted = (values.get("compare") ?? "").split("|").map((key) => arms.byKey.get(key));
      if (wanted[0]) pick(wanted[0], wanted[1] ?? partner(wanted[0]));
      else if (section.isPicked) pick(...start);
      return before !== first.value + second.value;
    },
  });
}
