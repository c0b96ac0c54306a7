// Permalinks: the view of the page as `#name=value&name=value`, from a file too.
//
// Parts of the page register a function that writes their values, and one that applies them.

const viewParts = [];
let isApplying = false;

const encodeValue = (text) => encodeURIComponent(text)
  .replace(/%2F/g, "/").replace(/%2C/g, ",").replace(/%3D/g, "=").replace(/%20/g, "+");

function decodeValue(text) {
  try { return decodeURIComponent(text.replaceAll("+", " ")); } catch { return ""; }
}

function parseView(hash) { // an anchor without `=` is not a view
  const pairs = hash.replace(/^#/, "").split("&").filter((part) => part.includes("="));
  return new Map(pairs.map((part) => {
    const at = part.indexOf("=");
    return [decodeValue(part.slice(0, at)), decodeValue(part.slice(at + 1))];
  }));
}

function viewHash() {
  const values = new Map();
  viewParts.forEach((part) => part.write(values));
  return [...values].map(([key, value]) => `${encodeURIComponent(key)}=${encodeValue(value)}`).join("&");
}

function saveView(isNewEntry) {
  if (isApplying) return;
  const hash = viewHash(), address = hash ? `#${hash}` : location.pathname + location.search;
  if (hash === location.hash.replace(/^#/, "")) return;
  const state = { ...(isNewEntry ? {} : history.state), isOpened: isNewEntry === "opened" || (!isNewEntry && history.state?.isOpened) };
  history[isNewEntry ? "pushState" : "replaceState"](state, "", address);
}

function applyView() {
  const hash = location.hash;
  if (hash.length > 1 && !hash.includes("=")) return;
  isApplying = true;
  const values = parseView(hash);
  const changed = viewParts.filter((part) => part.apply(values));
  isApplying = false;
  const target = changed.find((part) => part.root)?.root;
  if (target && !document.querySelector("dialog[open]")) target.scrollIntoView();
}

function linkTo(values) {
  const hash = [...values].map(([key, value]) => `${encodeURIComponent(key)}=${encodeValue(value)}`).join("&");
  return location.href.replace(/#.*/, "") + (hash ? `#${hash}` : "");
}

function linkButton(values, label) {
  const made = button("Copy link", label, () => copyText(linkTo(values())).then(() => confirmCopy(made)));
  return made;
}

function startPermalinks() {
  applyView();
  addEventListener("popstate", () => { applyView(); openAwaited(); });
  addEventListener("hashchange", applyView);
}
