// The keys of the annotate page. A person may have put others in the place of the page's own: what is pressed is
// turned into the page's own key here, once, and everything behind this works with those.
import { says } from "./annotate-page.js";

const TYPING = "textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=range])";

const chosen = JSON.parse(says.keys || "{}"); // the page's own key → the person's
const own = new Map(Object.entries(chosen).map(([mine, pressed]) => [pressed, mine]));

const named = (key) => (key.length === 1 ? key.toUpperCase() : key);

/** The event as it would be on the page's own keys. */
function meant(event) {
  const pressed = named(event.key);
  if (!own.size) return event;
  const key = own.get(pressed) ?? (pressed in chosen ? "" : event.key);
  return {
    key,
    target: event.target,
    shiftKey: event.shiftKey && !own.has(pressed),
    preventDefault: () => event.preventDefault(),
  };
}

// submit(): Enter from inside a text, or on a line of a form. press(event): a key while nobody types; true: it was one.
// isOff(): nothing may be pressed now. isOurs(target): a line of the form that Enter submits.
export function openKeys({ submit, press, isOff, isOurs }) {
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (isOff()) return;
    if (key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) {
      if (submit()) event.preventDefault();
      return;
    }
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (target.matches(TYPING)) {
      if (key === "Escape") target.blur();
      const isLine = key === "Enter" && !target.matches("textarea"); // in a text, Enter is a new line
      if (isLine && isOurs(target) && submit()) event.preventDefault();
      return;
    }
    const here = meant(event);
    if (here.key === "?") return document.getElementById("keys").togglePopover();
    if (document.querySelector(":popover-open")) return;
    if (press(here)) event.preventDefault();
  });
}
