// Legends: none, the best arms and the chosen ones are in colour, all other lines are light grey.

function setUpLegend(legend) {
  const section = legend.closest(".drawn"), names = all(legend, "button[data-name]");
  const always = all(legend, "span[data-name]").map((entry) => entry.dataset.name);
  const best = names.filter((entry) => entry.getAttribute("aria-pressed") === "true").map((entry) => entry.dataset.name);
  const every = names.map((entry) => entry.dataset.name), choices = { best, all: every, none: [] };
  const axis = section.querySelector("select[data-axis]");
  let chosen = best;

  function choose(wanted) {
    const isWanted = new Set(wanted);
    chosen = every.filter((name) => isWanted.has(name));
    section.chosen = new Set([...always, ...chosen]);
    names.forEach((entry) => {
      const isOn = section.chosen.has(entry.dataset.name);
      entry.setAttribute("aria-pressed", String(isOn));
      entry.querySelector(".line").classList.toggle("rest", !isOn);
    });
    all(section, ".plot").filter((plot) => plot.drawn).forEach(drawPlot);
  }

  legend.parentNode.addEventListener("click", (event) => {
    const entry = event.target.closest("button[data-name], button[data-choose]");
    if (!entry) return;
    const name = entry.dataset.name;
    if (name === undefined) choose(choices[entry.dataset.choose]);
    else choose(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name]);
    saveView(true);
  });
  axis?.addEventListener("change", () => { section.axisName = axis.value; choose(chosen); saveView(true); });
  choose(best);
  const key = section.id, isBest = () => chosen.join("|") === best.join("|");
  viewParts.push({
    root: section,
    write(values) {
      if (!isBest()) values.set(`${key}.lines`, chosen.join("|"));
      if (axis?.selectedIndex > 0) values.set(`${key}.x`, axis.value);
    },
    apply(values) {
      const before = [...chosen, axis?.value].join("|");
      if (axis) {
        axis.value = values.get(`${key}.x`) ?? axis.options[0].value;
        if (axis.selectedIndex < 0) axis.selectedIndex = 0;
        section.axisName = axis.value;
      }
      const wanted = values.get(`${key}.lines`)?.split("|") ?? best;
      if (before === [...wanted, axis?.value].join("|")) return false;
      choose(wanted);
      return true;
    },
  });
}
