// How long a person has been at a task: while the page can be seen, and up to a while after the last sign of a hand.
// Only sums are kept; the server checks them against its own clock.
const IDLE_AFTER = 30 * 1000; // milliseconds: reading needs no hand for that long
const SIGNS = ["pointermove", "pointerdown", "keydown", "wheel", "scroll", "touchmove", "input"];

const KEPT = "hone.active"; // in this tab's own store, so that loading the page anew starts no task from nothing

const sums = new Map(); // milliseconds by screen: a task that is left for a while goes on where it was
let screen = "";
let last = 0; // of the last sign; 0: nobody is here

function count() {
  const at = performance.now();
  if (last) sums.set(screen, (sums.get(screen) || 0) + Math.min(at - last, IDLE_AFTER));
  last = document.visibilityState === "visible" ? at : 0;
  if (!last) sessionStorage.setItem(KEPT, JSON.stringify([screen, sums.get(screen) || 0]));
}

/** A screen has come; what is counted from now on is its time. */
export function begin(which) {
  count();
  screen = which;
  const [before, sum] = JSON.parse(sessionStorage.getItem(KEPT) || "[]");
  if (before === screen && !sums.has(screen)) sums.set(screen, sum);
}

/** Seconds at this screen so far. */
export function activeSeconds() {
  count();
  return Math.round((sums.get(screen) || 0) / 10) / 100;
}

/** Whether somebody has been here within so many milliseconds. */
export const wasHere = (within) => last > 0 && performance.now() - last < within;

for (const sign of SIGNS) document.addEventListener(sign, count, { passive: true, capture: true });
document.addEventListener("visibilitychange", count);
