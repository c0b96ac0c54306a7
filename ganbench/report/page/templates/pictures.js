
// Pictures of the dialog: samples beside real data, a slider over the training, and all seeds

const parts = (text) => (text ? JSON.parse(text) : []);

function pictureFigures(card) {
  const images = all(card, "img"), samples = images.find((image) => image.dataset.kind === "samples");
  const figures = images.map((image) => (parts(image.dataset.frames).length > 1 ? trainingFigure(image) : pictureFigure(image)));
  if (samples) figures.splice(images.indexOf(samples) + 1, 0, ...realFigures(card), ...seedFigures(samples));
  return figures;
}

function pictureFigure(image) {
  const made = figure(image.dataset.caption, large(image)), columns = parts(image.dataset.columns);
  if (columns.length) made.insertBefore(heads(columns), made.lastChild);
  return made;
}

function realFigures(card) {
  return all(document, "#arms .real img").filter((image) => image.dataset.data === card.dataset.data).map(pictureFigure);
}

function heads(names) {
  const row = document.createElement("div");
  row.className = "heads";
  row.setAttribute("aria-hidden", "true"); // the caption names them
  row.append(...names.map((name) => {
    const head = document.createElement("span");
    head.textContent = name;
    return head;
  }));
  return row;
}

function seedFigures(samples) {
  const seeds = parts(samples.dataset.seeds);
  if (!seeds.length) return [];
  const row = document.createElement("div");
  row.className = "seed-row";
  row.append(...seeds.map(([name, caption]) => {
    const image = document.createElement("img");
    image.src = picture(name);
    image.alt = caption;
    return figure(caption, image);
  }));
  return [figure("all finished seeds, from the best to the worst", row)];
}

function trainingFigure(image) { // one frame at a time, chosen by a slider, above the whole strip
  const frames = parts(image.dataset.frames), strip = large(image), frame = large(image);
  const last = frames.findLastIndex((name) => name.startsWith("step"));
  const box = document.createElement("div"), line = document.createElement("label");
  const name = document.createElement("output"), slider = document.createElement("input");
  Object.assign(slider, { type: "range", min: 0, max: frames.length - 1, value: last });
  slider.setAttribute("aria-label", "step of the training");
  box.className = "frame";
  frame.style.width = `${100 * frames.length}%`;
  frame.alt = "";
  const move = () => {
    frame.style.transform = `translateX(${(-100 * slider.value) / frames.length}%)`;
    name.textContent = frames[slider.value];
    slider.setAttribute("aria-valuetext", frames[slider.value]);
  };
  slider.addEventListener("input", move);
  slider.addEventListener("keydown", (event) => event.stopPropagation()); // arrows move it, not the dialog
  box.append(frame);
  line.className = "slider";
  line.append(slider, name);
  move();
  const made = figure(image.dataset.caption, box);
  made.append(line, heads(frames.map((part) => part.replace("step ", ""))), strip);
  return made;
}
