// The frame around what is judged: the prompt that folds, the switch between answers, answers that scroll together or
// each by itself, the guidelines beside them. Nothing here moves a text that is being read.
import { toggleDifferences } from "./annotate-differences.js";
import { answers, keep, kept, speak, task, TWO_COLUMNS, workspace } from "./annotate-page.js";
import { toggleSource } from "./annotate-source.js";

const FOLDS_AFTER = 24; // pixels of scrolling
const ONE_LINE = 72; // pixels: a prompt of this height has nothing to fold
const BELOW_TOP = 140; // pixels: an answer that begins above this line is the one that is read

const guidelines = document.getElementById("guidelines");
const places = new WeakMap(); // how far into an answer its reader was

let isFolded = false;
let isByHand = false; // until the next task, scrolling folds nothing

/** A task has come. */
export function frame() {
  isByHand = false;
  fold(false);
  showGuidelines(guidelinesAreOpen());
  if (guidelinesAreOpen()) loadRulings({ isByHand: false });
  scrollTogether(kept("together", "yes") === "yes");
  showCurrent();
}

// ---- the prompt ----------------------------------------------------------------------------------------------------

// What it loses in height it gets as a margin, so that nothing below it moves.
function fold(wanted) {
  isFolded = wanted;
  const box = task().querySelector("[data-prompt]");
  if (!box) return;
  box.style.marginBottom = "";
  box.classList.remove("folded");
  const whole = heightOf(box);
  const canFold = whole > ONE_LINE;
  if (wanted && canFold) {
    box.classList.add("folded");
    box.style.marginBottom = `${whole - heightOf(box)}px`;
    showLastTurn(box);
  }
  const button = box.querySelector("[data-fold]");
  button.hidden = !canFold;
  const turns = box.querySelector("[data-turns]");
  box.classList.toggle("goes-on", !box.classList.contains("folded") && turns.scrollHeight > turns.clientHeight + 2);
  button.setAttribute("aria-expanded", !wanted);
}

const heightOf = (box) => box.getBoundingClientRect().height;

function showLastTurn(box) {
  const turns = box.querySelector("[data-turns]");
  const last = turns.lastElementChild;
  if (last) turns.scrollTop = last.offsetTop - turns.offsetTop;
}

function foldByHand() {
  isByHand = true;
  fold(!isFolded);
}

// ---- which answer is read --------------------------------------------------------------------------------------------

const topOf = (answer) => answer.getBoundingClientRect().top;

function current() {
  const all = answers();
  const isAtEnd = window.scrollY > 0 && window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 2;
  if (isAtEnd && !TWO_COLUMNS.matches) return all.at(-1); // a short last answer cannot come up to the line
  return all.filter((one) => topOf(one) <= BELOW_TOP).at(-1) || all[0];
}

function showCurrent() {
  const now = current();
  for (const button of task().querySelectorAll("[data-turn]")) {
    button.setAttribute("aria-pressed", button.dataset.turn === now?.dataset.answer);
  }
}

/** To an answer, where its reader was when they left it. */
function turnTo(answer) {
  const from = current();
  if (from) places.set(from, Math.max(0, BELOW_TOP - topOf(from)));
  const into = Math.min(places.get(answer) || 0, Math.max(0, answer.offsetHeight - 100));
  window.scrollBy(0, topOf(answer) - BELOW_TOP + 4 + into);
  showCurrent();
  speak(answer.querySelector("h2").textContent.trim());
}

function turn() {
  const all = answers();
  if (all.length < 2 || (TWO_COLUMNS.matches && all.length === 2)) return;
  turnTo(all[(all.indexOf(current()) + 1) % all.length]);
}

// ---- together, or each by itself -------------------------------------------------------------------------------------

function scrollTogether(isTogether) {
  workspace.classList.toggle("apart", !isTogether);
  task().querySelector("[data-together]")?.setAttribute("aria-pressed", isTogether);
  for (const text of task().querySelectorAll("[data-text]")) {
    if (isTogether) text.removeAttribute("tabindex");
    else text.tabIndex = 0;
  }
}

function toggleTogether() {
  if (!task().querySelector("[data-together]")) return;
  const isTogether = workspace.classList.contains("apart");
  keep("together", isTogether ? "yes" : "no");
  scrollTogether(isTogether);
}

// ---- guidelines ------------------------------------------------------------------------------------------------------

const guidelinesAreOpen = () => {
  const chosen = kept("guidelines", "");
  return chosen ? chosen === "open" : window.innerWidth >= 1440;
};

function showGuidelines(isOpen) {
  guidelines.hidden = !isOpen;
  workspace.classList.toggle("with-guidelines", isOpen);
  task().querySelector("[data-guidelines]")?.setAttribute("aria-expanded", isOpen);
}

// Rulings stand below the guidelines: fetched when these are first seen, and whenever they are opened by hand.
function loadRulings({ isByHand }) {
  const place = document.getElementById("rulings");
  if (!place || (place.dataset.loaded && !isByHand)) return;
  place.dataset.loaded = "yes";
  window.htmx.ajax("GET", place.dataset.rulings, { target: place, swap: "innerHTML" });
}

function toggleGuidelines() {
  const isOpen = guidelines.hidden;
  keep("guidelines", isOpen ? "open" : "closed");
  showGuidelines(isOpen);
  if (isOpen) loadRulings({ isByHand: true });
  if (isOpen && !TWO_COLUMNS.matches) guidelines.scrollIntoView();
}

// ---- hands -----------------------------------------------------------------------------------------------------------

const DOES = {
  guidelines: toggleGuidelines,
  fold: foldByHand,
  together: toggleTogether,
  differences: toggleDifferences,
  source: toggleSource,
  turn: (button) => turnTo(answers().find((one) => one.dataset.answer === button.dataset.turn)),
};

export const FRAME_KEYS = {
  G: toggleGuidelines,
  U: foldByHand,
  L: toggleTogether,
  D: toggleDifferences,
  M: toggleSource,
  T: turn,
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-guidelines], [data-fold], [data-together], [data-differences], [data-source], [data-turn]");
  const name = button && Object.keys(DOES).find((one) => one in button.dataset);
  if (name && button.matches("button")) DOES[name](button);
});

let isWaiting = false;

document.addEventListener(
  "scroll",
  () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      showCurrent();
      if (!isByHand && window.scrollY > FOLDS_AFTER !== isFolded) fold(!isFolded);
    });
  },
  { passive: true },
);
