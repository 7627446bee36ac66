// When a new task may be decided: once it is painted, and then after a moment or as soon as the hand has moved. So
// neither the second half of a double click nor a key meant for the last task answers one that nobody has seen.
const ARMED_AFTER = 400; // milliseconds
const HAND_MOVED = 8; // pixels: more than a hand that only finishes its double click

let now = null; // what waits to be armed
let armed = false;
let isPainted = false;
let travelled = 0;
let timer = 0;

export const isArmed = () => armed;
export const arm = () => set(true);

/** It is decided: neither the moment that still runs nor a hand that moves on arms it again. */
export function disarm() {
  clearTimeout(timer);
  isPainted = false;
  set(false);
}

/** The task itself says it too (data-armed), so that whoever drives the page need not guess the moment. */
function set(is) {
  armed = is;
  now?.toggleAttribute("data-armed", is);
}

/** An element has come onto the page. */
export function armSoon(element) {
  disarm();
  now = element;
  travelled = 0;
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      if (now !== element) return;
      isPainted = true;
      timer = setTimeout(() => set(true), ARMED_AFTER);
    }),
  );
}

document.addEventListener("pointermove", (event) => {
  if (armed || !isPainted) return;
  travelled += Math.abs(event.movementX) + Math.abs(event.movementY);
  if (travelled > HAND_MOVED) set(true);
});
