// The annotate page. One key or click decides; the server's answer brings the next task. The page works without this
// module: every choice is an ordinary button of an ordinary form.
import { CARE_KEYS, cover, isCovered, isReporting, waits } from "./annotate-care.js";
import { openDrafts } from "./annotate-drafts.js";
import { openOutbox } from "./annotate-outbox.js";
import { blocksIn } from "./kinds/index.js";

const ARMED_AFTER = 400; // milliseconds after a task is painted, unless the hand has moved before
const HAND_MOVED = 8; // pixels: more than a hand that only finishes its double click
const TYPING = "textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=range])";
const AT_WORK = 4 * 60 * 1000; // a task that is being read for long is kept for its reader
const BESIDE = ["key", "version", "kind", "parts", "seen", "over"]; // go along with an answer and are no part of it
const FORM = "application/x-www-form-urlencoded";

const workspace = document.getElementById("workspace");
const spoken = document.getElementById("spoken");
const banner = document.getElementById("unsaved");
const guidelines = document.getElementById("guidelines");
const signIn = document.getElementById("signed-out");
const says = workspace.dataset;

let armed = false;
let travelled = 0;
let isPainted = false;
let hasMoved = false;
let showing = null; // the element of the task that is on the screen
let blocks = []; // what is asked besides a choice that one key decides
let block = null; // the one that the hand is at

const task = () => document.getElementById("task");
const screenOf = (element) => element?.dataset.key || element?.dataset.annotation || "";
const form = () => task().querySelector("[data-choices]");
const seen = () => document.getElementById("guidelines-text")?.dataset.version || 0;

const outbox = openOutbox(`hone.outbox.${says.person}`, { answered, kept, signedOut, changed });
const drafts = openDrafts(outbox, {
  task,
  form,
  belongs: (name) => !BESIDE.includes(name),
  redraw: () => blocks.forEach((one) => one.draw()),
  tell,
  says,
});

// ---- a task arrives ------------------------------------------------------------------------------------------------

function arrive({ isFirst = false } = {}) {
  const now = task();
  if (now === showing) return;
  showing = now;
  armed = isPainted = false;
  travelled = 0;
  for (const hidden of now.querySelectorAll("[data-guidelines], [data-keys]")) hidden.hidden = false;
  showGuidelines(guidelinesAreOpen());
  arrange();
  const covered = cover(now);
  if (!isFirst) {
    window.scrollTo(0, 0);
    now.focus({ preventScroll: true });
    const title = now.querySelector("h1").textContent;
    const said = now.dataset.saved ? `${says.saysSaved} ${now.dataset.saved}. ${title}` : title;
    spoken.textContent = covered ? `${said}. ${covered}` : said;
  }
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      isPainted = true;
      setTimeout(() => (armed = armed || showing === now), ARMED_AFTER);
    }),
  );
}

document.addEventListener("pointermove", (event) => {
  hasMoved = true;
  if (armed || !isPainted) return;
  travelled += Math.abs(event.movementX) + Math.abs(event.movementY);
  armed = travelled > HAND_MOVED;
});

// ---- what is asked (static/kinds) ----------------------------------------------------------------------------------

const host = {
  says,
  speak: (words) => (spoken.textContent = words),
  tell,
  send: (url, body) => {
    tell(says.saysSending);
    outbox.put({ kind: "turn", screen: screenOf(task()), url, body, type: FORM });
  },
  mark: (handle) => {
    for (const answer of task().querySelectorAll("[data-answer]")) {
      const isIt = answer.dataset.answer === handle;
      answer.classList.toggle("spoken-of", isIt);
      const { top, bottom } = answer.getBoundingClientRect();
      if (isIt && (bottom < 0 || top > form().getBoundingClientRect().top)) answer.scrollIntoView({ block: "start" });
    }
  },
};

function arrange() {
  blocks = blocksIn(form(), host);
  block = null;
  drafts.restore();
  for (const one of blocks) one.draw();
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

// Enter: to the next open question; to the next part; and when nothing is open, away with it.
function enter() {
  if (!armed || block.enter()) return;
  const open = blocks.map((one) => [one, one === block || one.wasSeen ? one.missing() : null]);
  block.wasSeen = true;
  const [next, words] = open.find(([one, missing]) => missing !== "") || [];
  const place = task().querySelector("[data-missing]");
  place.textContent = words || "";
  if (!next) return choose(task().querySelector("[data-submit]"));
  if (next !== block) turnTo(next);
}

// ---- a person decides ----------------------------------------------------------------------------------------------

function choose(button) {
  if (!armed) return;
  armed = false;
  const asked = button.form;
  const said = new URLSearchParams(new FormData(asked));
  if (button.name) said.set(button.name, button.value);
  said.set("seen", seen());
  if (task().dataset.mode === "edit") said.set("over", drafts.revs());
  for (const other of asked.querySelectorAll(".chosen")) other.classList.remove("chosen");
  button.classList.add("chosen");
  tell(says.saysSending);
  drafts.drop();
  const isSkip = "skip" in button.dataset;
  const url = isSkip ? button.getAttribute("formaction") : asked.getAttribute("action");
  outbox.put({ kind: isSkip ? "skip" : "answer", screen: screenOf(task()), url, body: said.toString(), type: FORM });
}

function answered(entry, status, text) {
  signIn.close();
  if (entry.kind === "draft") return drafts.answered(entry, status, text);
  const isHere = entry.screen === screenOf(task());
  if (entry.kind === "turn") return isHere && turned(entry, status, text);
  if (status < 300) {
    if (isHere || task().dataset.mode === "waiting") return swap(task(), text, "outerHTML");
    const time = new DOMParser().parseFromString(text, "text/html").querySelector("[data-saved]")?.dataset.saved;
    return tell(`${says.saysSaved} ${time || ""}`);
  }
  refuse(text);
  for (const pressed of task().querySelectorAll(".chosen")) pressed.classList.remove("chosen");
  armed = true;
}

function refuse(text) {
  tell("");
  swap(document.getElementById("refusal"), text, "innerHTML");
  document.getElementById("refusal").scrollIntoView({ block: "nearest" });
}

// A step of a conversation: only that is drawn anew.
function turned(entry, status, text) {
  tell("");
  if (status >= 300) refuse(text);
  else document.getElementById("refusal").replaceChildren();
  blocks.find((one) => one.turned)?.turned(entry, status, text);
}

// Nothing went through: what was chosen stays marked, and may still be chosen differently.
function kept(entry) {
  if (entry.screen !== screenOf(task())) return;
  tell("");
  armed = true;
}

// count: changes that wait for the server. failing: answers that it fails at while it takes others.
function changed(count, failing) {
  banner.hidden = count === 0 && failing === 0;
  const waiting = count > 1 ? says.saysManyUnsaved.replace("{n}", count) : count ? says.saysOneUnsaved : "";
  const failed = failing > 1 ? says.saysManyFailing.replace("{n}", failing) : failing ? says.saysOneFailing : "";
  const words = `${failed} ${waiting}`.trim();
  const place = banner.querySelector("[data-words]");
  if (place.textContent !== words) place.textContent = words;
}

function signedOut() {
  if (!signIn.open) signIn.showModal();
}

function swap(target, html, swapStyle) {
  window.htmx.swap(target, html, { swapStyle, swapDelay: 0, settleDelay: 0 });
  arrive();
}

function tell(words) {
  const place = task().querySelector("[data-state]");
  if (place) place.textContent = words;
}

// ---- what is typed (annotate-drafts.js) ----------------------------------------------------------------------------

document.addEventListener("input", (event) => event.target.closest("[data-choices]") && drafts.touched());

setInterval(() => {
  if (hasMoved && document.visibilityState === "visible") drafts.stay();
  hasMoved = false;
}, AT_WORK);

// ---- going back, and beside the task -------------------------------------------------------------------------------

async function go(address) {
  drafts.flush();
  const asked = new URL(address, location.href);
  asked.searchParams.set("seen", seen());
  const { annotation } = task().dataset;
  if (annotation && asked.pathname.endsWith("/back")) asked.searchParams.set("before", annotation);
  try {
    const response = await fetch(asked.pathname.endsWith("/annotate") ? `${asked.pathname}/next${asked.search}` : asked, {
      headers: { "HX-Request": "true" },
    });
    if (response.status === 401) return signedOut();
    if (response.ok) return swap(task(), await response.text(), "outerHTML");
  } catch {
    // said below
  }
  tell(document.body.dataset.unreachable || "");
}

const guidelinesAreOpen = () => {
  const chosen = localStorage.getItem("hone.guidelines");
  return chosen ? chosen === "open" : window.innerWidth >= 1440;
};

function showGuidelines(isOpen) {
  guidelines.hidden = !isOpen;
  workspace.classList.toggle("with-guidelines", isOpen);
  task().querySelector("[data-guidelines]")?.setAttribute("aria-expanded", isOpen);
}

function toggleGuidelines() {
  const isOpen = guidelines.hidden;
  localStorage.setItem("hone.guidelines", isOpen ? "open" : "closed");
  showGuidelines(isOpen);
  if (isOpen && window.innerWidth < 900) guidelines.scrollIntoView();
}

// ---- hands ---------------------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const pressed = event.target.closest("[data-press], [data-skip], [data-back], [data-forward], [data-guidelines], [data-try-now], [data-submit]");
  if (!pressed || pressed.matches("input")) return;
  const does = pressed.dataset;
  if ("guidelines" in does) return toggleGuidelines();
  if ("tryNow" in does) return signIn.close(), outbox.send();
  event.preventDefault();
  if (event.detail > 1) return; // the second half of a double click
  if ("back" in does || "forward" in does) return go(pressed.getAttribute("href"));
  if ("submit" in does) return enter();
  choose(pressed);
});

document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-choices]")) event.preventDefault(); // Enter in the box is a new line, not an answer
  if (!event.target.matches("[data-offer]")) return;
  event.preventDefault();
  const said = new URLSearchParams(new FormData(event.target));
  said.set("seen", seen());
  const url = event.target.getAttribute("action");
  outbox.put({ kind: "answer", screen: screenOf(task()), url, body: said.toString(), type: FORM });
});

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (isReporting()) return;
  if (key === "Enter" && (event.ctrlKey || event.metaKey) && blocks.length && !event.repeat && !signIn.open) {
    if (isCovered()) return;
    event.preventDefault();
    return enter();
  }
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (target.matches(TYPING)) {
    if (key === "Escape") target.blur();
    const isLine = key === "Enter" && !target.matches("textarea"); // in a text, Enter is a new line
    const isAsked = block?.element.contains(target) || target.closest("[data-judge]");
    if (isLine && block && isAsked) event.preventDefault(), enter();
    return;
  }
  if (signIn.open) return;
  if (key === "?") return document.getElementById("keys").togglePopover();
  if (document.querySelector(":popover-open")) return;
  if (waits(key)) return;
  if (block && armed && !isCovered() && asks(event)) return event.preventDefault();
  const now = task();
  const name = CSS.escape(key.toUpperCase());
  const button = now.querySelector(`button[data-press="${name}"], button[data-also="${name}"]`);
  const does = {
    s: () => now.querySelector("[data-skip]") && choose(now.querySelector("[data-skip]")),
    z: () => now.querySelector("[data-back]") && go(now.querySelector("[data-back]").getAttribute("href")),
    escape: () => now.querySelector("[data-forward]") && go(now.querySelector("[data-forward]").getAttribute("href")),
    g: toggleGuidelines,
    r: openReason,
    ...CARE_KEYS,
  }[key.toLowerCase()];
  if (!button && !does) return;
  event.preventDefault();
  if (button) choose(button);
  else does();
});

// Keys of what is asked come before the page's own. On a button or a link, Enter presses that.
function asks(event) {
  if (event.key === "Enter") return !event.target.matches("a, summary, button:not(.chip):not([data-submit])") && (enter(), true);
  const { kind } = block.element.dataset;
  const toggle = form().querySelector(`[data-of="${kind}"] [data-toggle="${CSS.escape(event.key.toUpperCase())}"]`);
  if (block.key(event)) return true;
  toggle?.click();
  return Boolean(toggle);
}

function openReason() {
  const box = task().querySelector("[data-draft]");
  if (!box) return;
  box.closest("details").open = true;
  box.focus();
}

// A page that waits looks again by itself (htmx); a refusal of that never takes the page's place.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target !== task() || event.detail.xhr.status < 400) return;
  event.detail.shouldSwap = false;
  if (event.detail.xhr.status === 401) signedOut();
});
document.addEventListener("htmx:afterSwap", () => arrive());

arrive({ isFirst: true });
