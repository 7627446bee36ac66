// Keys of a task's page for reviewers: J and K go among people's answers, A accepts the one in focus, R returns it, C goes
// to an answer of one's own, N on to the next task of the queue. Everything is a button or a link as well.
const answers = () => [...document.querySelectorAll("[data-answer]")]; // drawn anew when a form is refused
let at = answers().findIndex((one) => !one.classList.contains("gone"));

function part(name, inside = document) {
  return inside?.querySelector(`[data-review="${name}"]`);
}

function go(by) {
  at = Math.min(Math.max(at + by, 0), answers().length - 1);
  answers()[at]?.focus();
}

const DOES = {
  j: () => go(document.activeElement?.closest("[data-answer]") ? 1 : 0),
  k: () => go(-1),
  a: () => part("a", answers()[at])?.click(),
  r: () => {
    const fold = part("r", answers()[at]);
    if (!fold) return;
    fold.open = true;
    fold.querySelector("textarea").focus();
  },
  c: () => part("c")?.querySelector("input:not([type=hidden]), button, select")?.focus(),
  n: () => part("n")?.click(),
};

document.addEventListener("focusin", (event) => {
  const one = event.target.closest("[data-answer]");
  if (one) at = answers().indexOf(one);
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("textarea, select, input:not([type=radio], [type=checkbox])");
  if (event.key === "Escape" && typing) {
    const fold = typing.closest("details[data-review]");
    if (fold) fold.open = false;
    (typing.closest("[data-answer]") ?? document.querySelector("main"))?.focus();
    typing.blur();
    return;
  }
  if (typing || event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open], :popover-open")) return;
  const does = DOES[event.key.toLowerCase()];
  if (!does) return;
  event.preventDefault();
  does();
});
