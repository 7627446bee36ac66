// The annotate page. One key or click decides; the server's answer brings the next task. The page works without these
// modules: every choice is an ordinary button of an ordinary form.
import { isAsking as isAskingAbout, QUESTION_KEYS } from "./annotate-question.js";
import { begin, wasHere } from "./annotate-active.js";
import { armSoon, isArmed } from "./annotate-arming.js";
import { arrange, asks, connect, enter, isAsking, isOfBlock, redraw, turned } from "./annotate-asking.js";
import { CARE_KEYS, cover, isCovered, isReporting, waits } from "./annotate-care.js";
import { openDeciding } from "./annotate-deciding.js";
import { markChanges } from "./annotate-differences.js";
import { openDrafts } from "./annotate-drafts.js";
import { frame, FRAME_KEYS } from "./annotate-frame.js";
import { PICTURE_KEYS } from "./annotate-pictures.js";
import { openKeys } from "./annotate-keys.js";
import { openOutbox } from "./annotate-outbox.js";
import { form, MINE, says, screenOf, seen, speak, task, tell } from "./annotate-page.js";
import { openReturning } from "./annotate-returning.js";
import { ask, done, isSignedOut, openSigning } from "./annotate-signing.js";
import { prepareFormulas } from "./prose.js";

const AT_WORK = 4 * 60 * 1000; // a task that is being read for long is kept for its reader
const BESIDE = ["key", "version", "kind", "parts", "seen", "over", "active"]; // go along with an answer and are no part of it

const banner = document.getElementById("unsaved");

let showing = null; // the element of the task that is on the screen

const deciding = openDeciding({ outbox: { put: (entry) => outbox.put(entry) }, drafts: () => drafts, swap });
const outbox = openOutbox(`hone.outbox.${says.person}`, MINE, { answered, kept: deciding.kept, signedOut: ask, changed });
const drafts = openDrafts(outbox, { task, form, belongs: (name) => !BESIDE.includes(name), redraw, tell, says });
connect({ submit: deciding.choose, send: deciding.sendTurn });
openSigning({ signedIn: () => outbox.send() });
const returning = openReturning({
  back: () => go(task().querySelector("[data-back]")),
  forward: () => go(task().querySelector("[data-forward]")),
});

// ---- a task arrives ------------------------------------------------------------------------------------------------

function arrive({ isFirst = false } = {}) {
  const now = task();
  if (now === showing) return;
  showing = now;
  begin(screenOf(now));
  frame();
  markChanges(now);
  arrange(drafts.restore);
  const covered = cover(now);
  if (!isFirst) {
    window.scrollTo(0, 0);
    now.focus({ preventScroll: true });
    const title = now.querySelector("h1").textContent;
    const said = now.dataset.saved ? `${says.saysSaved} ${now.dataset.saved}. ${title}` : title;
    speak(covered ? `${said}. ${covered}` : said);
  }
  armSoon(now);
}

function swap(target, html, swapStyle) {
  window.htmx.swap(target, html, { swapStyle, swapDelay: 0, settleDelay: 0 });
  arrive();
}

// A page that waits looks again by itself (htmx); a refusal of that never takes the page's place.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target !== task() || event.detail.xhr.status < 400) return;
  event.detail.shouldSwap = false;
  if (event.detail.xhr.status === 401) ask();
});
document.addEventListener("htmx:afterSwap", () => arrive());

// ---- what the server says to what was sent ---------------------------------------------------------------------------

function answered(entry, status, text) {
  done();
  if (entry.kind === "answer" && status < 300) returning();
  if (entry.kind === "draft") return drafts.answered(entry, status, text);
  if (entry.kind !== "turn") return deciding.answered(entry, status, text);
  if (entry.screen !== screenOf(task())) return;
  tell("");
  if (status >= 300) deciding.refuse(text);
  else document.getElementById("refusal").replaceChildren();
  turned(entry, status, text); // a step of a conversation: only that is drawn anew
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

// ---- what is typed (annotate-drafts.js) ----------------------------------------------------------------------------

document.addEventListener("input", (event) => event.target.closest("[data-choices]") && drafts.touched());

setInterval(() => wasHere(AT_WORK) && drafts.stay(), AT_WORK);

// ---- going back and forth ------------------------------------------------------------------------------------------

async function go(link) {
  if (!link) return;
  drafts.flush();
  const asked = new URL(link.getAttribute("href"), location.href);
  asked.searchParams.set("seen", seen());
  const { annotation } = task().dataset;
  if (annotation && asked.pathname.endsWith("/back")) asked.searchParams.set("before", annotation);
  try {
    const response = await fetch(asked.pathname.endsWith("/annotate") ? `${asked.pathname}/next${asked.search}` : asked, {
      headers: MINE,
    });
    if (response.status === 401) return ask();
    if (response.ok) return swap(task(), await response.text(), "outerHTML");
  } catch {
    // said below
  }
  tell(document.body.dataset.unreachable || "");
}

// ---- hands ---------------------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const pressed = event.target.closest("[data-press], [data-skip], [data-back], [data-forward], [data-try-now], [data-submit]");
  if (!pressed || pressed.matches("input")) return;
  const does = pressed.dataset;
  if ("tryNow" in does) return done(), outbox.send();
  event.preventDefault();
  if (event.detail > 1) return; // the second half of a double click
  if ("back" in does || "forward" in does) return go(pressed);
  if ("submit" in does) return enter();
  deciding.choose(pressed);
});

const KEYS = {
  S: () => skip(),
  Z: () => go(task().querySelector("[data-back]")),
  ESCAPE: () => go(task().querySelector("[data-forward]")),
  R: openReason,
  ...FRAME_KEYS,
  ...CARE_KEYS,
  ...PICTURE_KEYS,
  ...QUESTION_KEYS,
};

openKeys({
  isOff: () => isSignedOut() || isReporting() || isAskingAbout(),
  isOurs: isOfBlock,
  submit: () => isAsking() && !isCovered() && (enter(), true),
  press: (event) => {
    if (waits(event.key)) return false;
    if (isArmed() && !isCovered() && asks(event)) return true;
    const name = event.key.toUpperCase();
    const button = name && task().querySelector(`button[data-press="${CSS.escape(name)}"], button[data-also="${CSS.escape(name)}"]`);
    if (button) deciding.choose(button);
    else KEYS[name]?.();
    return Boolean(button || KEYS[name]);
  },
});

function skip() {
  const button = task().querySelector("[data-skip]");
  if (button) deciding.choose(button);
}

function openReason() {
  const box = task().querySelector("[data-draft]");
  if (!box) return;
  box.closest("details").open = true;
  box.focus();
}

arrive({ isFirst: true });
prepareFormulas();
