// What is asked besides a choice that one key decides: blocks of static/kinds, one at a time, and Enter that leads on.
import { isArmed } from "./annotate-arming.js";
import { answers, form, says, speak, task, tell } from "./annotate-page.js";
import { blocksIn } from "./kinds/index.js";

let blocks = [];
let block = null; // the one that the hand is at

const host = {
  says,
  speak,
  tell,
  decide: () => enter(),
  send: (url, body) => page.send(url, body),
  mark: (handle) => {
    for (const answer of answers()) {
      const isIt = answer.dataset.answer === handle;
      answer.classList.toggle("spoken-of", isIt);
      const { top, bottom } = answer.getBoundingClientRect();
      if (isIt && (bottom < 0 || top > form().getBoundingClientRect().top)) answer.scrollIntoView({ block: "start" });
    }
  },
};

let page = {};

/** submit(button): what Enter comes to when nothing is open. send(url, body): a step that a block takes by the outbox. */
export const connect = (deeds) => (page = deeds);

/** The server's word on such a step. */
export const turned = (...word) => blocks.find((one) => one.turned)?.turned(...word);

/** Whether Enter submits here. */
export const isAsking = () => blocks.length > 0;

export const redraw = () => blocks.forEach((one) => one.draw());

/** A task has come. restore: puts its draft back, before anything is drawn. */
export function arrange(restore) {
  blocks = blocksIn(form(), host);
  block = null;
  restore();
  redraw();
  if (!blocks.length) return;
  if (blocks.length > 1) drawTabs();
  turnTo(blocks[0]);
}

function drawTabs() {
  const tabs = document.createElement("div");
  tabs.className = "part-tabs";
  for (const one of blocks) {
    const tab = tabs.appendChild(document.createElement("button"));
    Object.assign(tab, { type: "button", className: "step", textContent: one.element.dataset.title });
    tab.addEventListener("click", () => turnTo(one));
    one.tab = tab;
  }
  form().prepend(tabs);
}

function turnTo(one) {
  block = one;
  for (const other of blocks) {
    other.element.hidden = other !== one;
    other.tab?.setAttribute("aria-current", other === one ? "step" : "false");
  }
  for (const beside of form().querySelectorAll("[data-of]")) beside.hidden = beside.dataset.of !== one.element.dataset.kind;
  block.show();
}

/** Enter: to the next open question; to the next part; and when nothing is open, away with it. */
export function enter() {
  if (!isArmed() || block.enter()) return;
  const open = blocks.map((one) => [one, one === block || one.wasSeen ? one.missing() : null]);
  block.wasSeen = true;
  const [next, words] = open.find(([one, missing]) => missing !== "") || [];
  const place = task().querySelector("[data-missing]");
  place.textContent = words || "";
  if (!next) return page.submit(task().querySelector("[data-submit]"));
  if (next !== block) turnTo(next);
}

/** Keys of what is asked come before the page's own. On a button or a link, Enter presses that. True: it was one. */
export function asks(event) {
  if (!block || !isArmed()) return false;
  if (event.key === "Enter") return !event.target.matches("a, summary, button:not(.chip):not([data-submit])") && (enter(), true);
  const { kind } = block.element.dataset;
  const toggle = form().querySelector(`[data-of="${kind}"] [data-toggle="${CSS.escape(event.key.toUpperCase())}"]`);
  if (block.key(event)) return true;
  toggle?.click();
  return Boolean(toggle);
}

/** Whether a field belongs to the question at hand. */
export const isOfBlock = (target) => Boolean(block && (block.element.contains(target) || target.closest("[data-judge]")));
