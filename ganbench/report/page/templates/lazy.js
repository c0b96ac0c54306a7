// Charts and pictures are drawn shortly before they scroll into view, and the others while the page is idle.
// So a print or a capture of the whole page has no blanks.

let album = null;
const picture = (name) => (album ??= data(document.getElementById("album")))[name] ?? name; // else a file beside the page

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
  drawWhenIdle();
}

const whenIdle = window.requestIdleCallback ?? ((task) => setTimeout(() => task({ timeRemaining: () => 8 }), 50));
let isWaitingForIdle = false;

function drawWhenIdle() {
  if (isWaitingForIdle) return;
  isWaitingForIdle = true;
  whenIdle((deadline) => {
    isWaitingForIdle = false;
    document.body.classList.add("whole"); // sections outside the window are laid out too
    const left = waiting(document);
    do { if (left.length) fill(left.shift()); } while (left.length && deadline.timeRemaining() > 4);
    if (left.length) drawWhenIdle();
  }, { timeout: 500 });
}

let resized;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => {
    all(document, ".plot").filter((p) => p.drawn && p.clientWidth && Math.abs(p.drawn - p.clientWidth) > 8).forEach(drawPlot);
    keepHeads();
  }, 150);
});
addEventListener("beforeprint", () => {
  all(document, "details:not(.menu)").forEach((part) => { part.open = true; });
  all(document, ".shelf").forEach((list) => list.showAll?.()); // rows of tables; cards state their number
  document.body.classList.add("whole");
  waiting(document).forEach(fill);
});
