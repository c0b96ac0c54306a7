"use strict";
const study = JSON.parse(document.getElementById("study").textContent);
const $ = (id) => document.getElementById(id);
const CROSS = 400, HALF_FRAME = 8, HOUR = 3600000; // milliseconds

// The same random draws as in item_order.py.
function fnv1a(text) {
  let found = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) found = Math.imul(found ^ byte, 0x01000193) >>> 0;
  return found;
}
function mulberry32(state) {
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
function shuffled(items, random) {
  const found = [...items];
  for (let last = found.length - 1; last > 0; last--) {
    const other = random() % (last + 1);
    [found[last], found[other]] = [found[other], found[last]];
  }
  return found;
}
function order(rater) {
  const random = mulberry32(fnv1a(`${study.study}/${rater}`));
  const lists = study.groups.map((group) => shuffled(group, random));
  const items = lists[0].map((_, k) => shuffled(lists.map((list) => list[k]), random)).flat();
  const mixed = shuffled(study.catches, random);
  const step = Math.floor(items.length / Math.max(1, mixed.length));
  const places = mixed.map((_, n) => n * step + (random() % Math.max(1, step)));
  for (let n = mixed.length - 1; n >= 0; n--) items.splice(places[n], 0, mixed[n]);
  return items;
}

const session = { rater: "", items: [], answers: [], began: "", onset: 0, shown: 0, open: false };

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

function see(id) {
  for (const part of $("stage").children) part.classList.toggle("on", part.id === id);
}

function scramble() {
  const canvas = $("mask"), context = canvas.getContext("2d");
  const noise = context.createImageData(canvas.width, canvas.height);
  for (let n = 0; n < noise.data.length; n += 4) {
    noise.data.fill(Math.random() * 256, n, n + 3);
    noise.data[n + 3] = 255;
  }
  context.putImageData(noise, 0, 0);
}

async function present(number) {
  $("progress").value = number;
  see("cross");
  scramble();
  $("picture").src = study.images[session.items[number]];
  await Promise.all([$("picture").decode(), pause(CROSS)]);
  await frame();
  see("picture");
  session.onset = await frame();
  session.shown = 0;
  session.open = true;
  if (!study.exposure) return;
  let now = session.onset;
  while (session.open && session.answers.length === number && now - session.onset < study.exposure - HALF_FRAME) now = await frame();
  if (session.open && session.answers.length === number) {
    see("mask");
    session.shown = (await frame()) - session.onset;
  }
}

// A break counts as an hour.
function wholeTime(time) {
  return Math.min(HOUR, Math.max(1, Math.round(time)));
}

function answer(said) {
  if (!session.open) return;
  session.open = false;
  const took = performance.now() - session.onset;
  session.answers.push({
    item: session.items[session.answers.length],
    answer: said,
    ms: wholeTime(took),
    shown: wholeTime(session.shown || took),
  });
  if (session.answers.length < session.items.length) present(session.answers.length);
  else finish();
}

function content() {
  const told = { schema: 1, study: study.study, suite: study.suite, rater: session.rater, began: session.began };
  const lines = session.answers.map((a) => `${a.item} ${a.answer} ${a.ms} ${a.shown}`);
  const check = fnv1a([study.study, session.rater, ...lines].join("\n")).toString(16).padStart(8, "0");
  return JSON.stringify({ ...told, answers: session.answers, check }, null, 1);
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content()], { type: "application/json" }));
  link.download = $("file").textContent;
  link.click();
}

function finish() {
  $("session").hidden = true;
  $("end").hidden = false;
  $("answered").textContent = session.answers.length;
  $("file").textContent = `answers-${study.study}-${session.rater}.json`;
  removeEventListener("beforeunload", ask);
  save();
  $("again").focus();
}

function ask(event) {
  event.preventDefault(); // warns before an unfinished session is closed
}

$("start").addEventListener("submit", (event) => {
  event.preventDefault();
  const rater = $("rater").value.trim();
  if (!/^[A-Za-z0-9._-]{1,40}$/.test(rater)) {
    $("wrong").textContent = "The code may contain only letters, digits, dots, dashes and underscores.";
    return;
  }
  Object.assign(session, { rater, items: order(rater), answers: [], began: new Date().toISOString() });
  $("progress").max = session.items.length;
  $("welcome").hidden = true;
  $("session").hidden = false;
  document.activeElement?.blur();
  addEventListener("beforeunload", ask);
  present(0);
});
for (const said of ["fake", "real"]) $(said).addEventListener("click", () => answer(said));
$("again").addEventListener("click", save);
const KEYS = { f: "fake", ArrowLeft: "fake", r: "real", ArrowRight: "real" };
addEventListener("keydown", (event) => {
  const said = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!said || $("session").hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  answer(said);
});

const total = study.groups.flat().length + study.catches.length;
$("count").textContent = total;
$("data").textContent = study.data;
$("stage").style.width = `min(${study.side}px, 88vw, 52vh)`;
$("flash").textContent = study.exposure ? `, each for ${study.exposure / 1000} s` : "";
$("minutes").textContent = `${Math.max(1, Math.round((total * (CROSS + study.exposure + 1000)) / 60000))} min`;
for (const source of study.examples) {
  const picture = $("examples").appendChild(document.createElement("img"));
  picture.src = source;
  picture.alt = "A real example";
}
