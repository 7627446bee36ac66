// What stored prose needs of a browser, in whatever part of a page it arrives: formulas are set, code can be copied,
// wide boxes can be scrolled by keys. Without this script all of it can still be read.
const words = document.body.dataset;
const LIMITS = { throwOnError: false, trust: false, strict: "ignore", maxExpand: 1000, maxSize: 8, errorColor: "var(--bad)" };
const LETTERS_OF_FORMULAS = ["1em KaTeX_Main", "italic 1em KaTeX_Math", "1em KaTeX_Size1", "1em KaTeX_Size2", "1em KaTeX_AMS"];
let loading;

/** Dress all prose at or below an element. */
export function dress(root) {
  const formulas = within(root, ".prose .math:not(.set)");
  if (formulas.length) set(formulas);
  for (const box of within(root, ".prose .code")) offerCopy(box);
  for (const box of within(root, ".prose .wide, .prose .code pre, .prose .math.display")) sizes.observe(box);
}

function within(root, selector) {
  const found = [...root.querySelectorAll(selector)];
  if (root.matches(selector)) found.unshift(root);
  return found;
}

/** At once where KaTeX is here already, so that nothing moves after the first paint; else when it has come. */
function set(formulas) {
  if (globalThis.katex) return formulas.forEach(setOne);
  loading ??= load();
  loading.then(() => formulas.filter((one) => one.isConnected && !one.matches(".set")).forEach(setOne), () => {});
}

/** KaTeX and its letters before there is a formula, where one may come at any moment and nothing may move then. */
export async function prepareFormulas() {
  loading ??= load();
  await loading.catch(() => {});
  await Promise.all(LETTERS_OF_FORMULAS.map((font) => document.fonts.load(font).catch(() => {})));
}

async function load() {
  const styled = new Promise((resolve) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = new URL("./vendor/katex/katex.min.css", import.meta.url);
    link.addEventListener("load", resolve);
    link.addEventListener("error", resolve);
    document.head.append(link);
  });
  await Promise.all([import("./vendor/katex/katex.min.js"), styled]);
}

function setOne(element) {
  const source = element.textContent;
  element.classList.add("set");
  element.dataset.source = source;
  const displayMode = element.matches(".display");
  try {
    styledByProperty(() => globalThis.katex.render(bare(source), element, { ...LIMITS, displayMode }));
  } catch { // a fault of KaTeX's own: the source is better than nothing
    element.classList.remove("set");
    element.textContent = source;
  }
}

/** KaTeX writes some style attributes, which the content policy forbids; the same as properties is what it allows. */
function styledByProperty(work) {
  const { setAttribute } = Element.prototype;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };
  try {
    work();
  } finally {
    Element.prototype.setAttribute = setAttribute;
  }
}

/** The TeX between the delimiters; an environment brings its own. */
function bare(source) {
  for (const [opening, closing] of [["$$", "$$"], ["\\[", "\\]"], ["\\(", "\\)"], ["$", "$"]]) {
    if (source.startsWith(opening) && source.endsWith(closing)) return source.slice(opening.length, -closing.length);
  }
  return source;
}

/** Two lines and more: a shorter piece is selected as fast. */
function offerCopy(box) {
  if (box.querySelector(".copy-code") || !box.textContent.trim().includes("\n")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy-code";
  button.textContent = words.saysCopy;
  box.append(button);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.(".copy-code");
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch { // refused, or plain http: selected, so that the keys of the system copy it
    getSelection().selectAllChildren(code);
    return;
  }
  button.textContent = words.saysCopied;
  setTimeout(() => { button.textContent = words.saysCopy; }, 2000);
});

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});

new MutationObserver((changes) => {
  for (const change of changes) {
    for (const node of change.addedNodes) if (node.nodeType === 1 && node.isConnected) dress(node);
  }
}).observe(document.body, { childList: true, subtree: true });
dress(document.body);
