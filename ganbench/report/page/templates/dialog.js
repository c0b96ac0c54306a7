// Enlarged cards

const closer = document.getElementById("closer");
let looked = null; // the enlarged card
let isGoingBack = false, awaited = null; // a card that is opened once history has gone back

function look(card, isNewEntry = true) {
  if (isGoingBack && isNewEntry) { awaited = card; return; }
  looked = card;
  document.getElementById("closer-title").replaceChildren(...card.querySelector("h3").cloneNode(true).childNodes);
  const body = closer.querySelector(".closer-body");
  const told = all(card, ".value, .flag-sentence").map((line) => line.cloneNode(true));
  told.forEach((line) => { line.hidden = false; });
  const left = document.createElement("div"), right = document.createElement("div");
  left.append(...pictureFigures(card));
  right.append(...told, ...all(card, ".panel").map((panel) => {
    const copy = panel.cloneNode(true);
    copy.hidden = false;
    return copy;
  }));
  body.replaceChildren(...[left, right].filter((part) => part.children.length));
  const cards = shown(), place = cards.indexOf(card), isOpen = closer.open;
  all(closer, "[data-turn]").forEach((button) => { button.disabled = !cards[place + Number(button.dataset.turn)]; });
  if (!closer.open) closer.showModal();
  if (document.activeElement.disabled) closer.querySelector("[data-close]").focus();
  all(body, ".plot").forEach((plot) => { drawPlot(plot); addChartTools(plot); });
  if (isNewEntry) saveView(isOpen ? false : "opened");
}

function large(image) {
  const made = document.createElement("img");
  made.src = picture(image.dataset.picture);
  made.alt = image.alt;
  if (image.dataset.kind === "motion") made.dataset.kind = "motion"; // hidden for readers who want no movement
  return made;
}

function figure(caption, content) {
  const made = document.createElement("figure"), title = document.createElement("figcaption");
  made.className = "panel";
  title.textContent = caption;
  made.append(title, content);
  return made;
}

const cardList = document.querySelector("#arms .shelf");
const cardOf = (number) => cardList?.items.find((card) => card.id === `arm-${number}`);
const shown = () => cardList.shown;

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
closer.addEventListener("close", () => { // sent after a delay: history may have opened a card again
  if (!looked || closer.open) return;
  looked = null;
  isGoingBack = Boolean(history.state?.isOpened);
  if (isGoingBack) history.back();
  else saveView(false);
});

function openAwaited() {
  const card = awaited;
  isGoingBack = false;
  awaited = null;
  if (card) look(card);
}
document.addEventListener("keydown", (event) => {
  if (!closer.open) return;
  if (event.key === "ArrowRight") turn(1);
  if (event.key === "ArrowLeft") turn(-1);
});

// The link to an arm: `#arm=variant/loss/tricks`

const armNumber = (card) => Number(card.id.replace("arm-", ""));

viewParts.push({
  write(values) { if (looked) values.set("arm", arms.byNumber.get(armNumber(looked)).key); },
  apply(values) {
    const key = values.get("arm"), arm = arms.byKey.get(key), card = arm && cardOf(arm.n);
    const notice = document.getElementById("notice");
    notice.hidden = key === undefined || Boolean(card);
    notice.textContent = notice.hidden ? "" : `The link names the arm ${key}, which has no card on this page.`;
    if (!card && closer.open) {
      looked = null;
      closer.close();
    }
    if (card && card !== looked) look(card, false);
    return false;
  },
});
