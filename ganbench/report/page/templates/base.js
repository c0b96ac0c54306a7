"use strict";
// Helpers that all parts of the script use.

const all = (root, query) => [...root.querySelectorAll(query)];
const data = (element) => JSON.parse(element.textContent);
const known = (values) => values.filter((v) => v !== null && v !== undefined);
const minus = (text) => String(text).replaceAll("-", "−"); // of numbers that people read
const collapse = (text) => text.replace(/\s+/g, " ").trim();

const SVG = "http://www.w3.org/2000/svg";

function svg(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function html(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function button(text, label, onClick) {
  const made = html("button", { type: "button" }, text);
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", onClick);
  return made;
}

function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).catch(() => copyBySelection(text));
  return Promise.resolve(copyBySelection(text));
}

function copyBySelection(text) { // pages from a file may have no clipboard
  const area = html("textarea", { value: text });
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function confirmCopy(target) {
  const before = target.textContent;
  target.textContent = "copied";
  setTimeout(() => { target.textContent = before; }, 1200);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-copy]");
  if (!target) return;
  const source = target.dataset.copy || document.getElementById(target.dataset.from).textContent;
  copyText(source).then(() => confirmCopy(target));
});
