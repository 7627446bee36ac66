// Care on the annotate page: what is sensitive stays covered until its reader uncovers it, a harmful task is reported
// and left, and where to find help is one key away.
const task = () => document.getElementById("task");
const box = () => task()?.querySelector("[data-uncover]");
const report = document.getElementById("report");

/** Whether the task on the screen is sensitive and not uncovered yet. */
export const isCovered = () => Boolean(box() && !box().checked);

// Keys that say nothing about what is covered.
const WHILE_COVERED = new Set(["V", "O", "H", "W", "I", "S", "Z", "G", "?", "ESCAPE", "TAB"]);

/** Whether a key has to wait until the task is uncovered. */
export const waits = (key) => isCovered() && !WHILE_COVERED.has(key.toUpperCase());

export const CARE_KEYS = { V: turnOver, H: () => document.getElementById("help")?.showPopover(), W: openReport };

/** A task has come: its cover is told to those who listen. Returns the words. */
export function cover(element) {
  blurred(element);
  return element.querySelector("[data-cover]") ? element.querySelector("#cover-title").textContent.trim() : "";
}

function turnOver() {
  if (!box()) return;
  box().checked = !box().checked;
  turned();
}

function turned() {
  const now = task();
  const again = now.querySelector("[data-cover-again]");
  again.setAttribute("aria-pressed", isCovered());
  blurred(now);
  const told = isCovered() ? now.querySelector("#cover-title").textContent : again.dataset.saysUncovered;
  document.getElementById("spoken").textContent = told.trim();
  now.focus({ preventScroll: true });
}

// Pictures behind the cover are seen as blurs, and not told at all.
function blurred(element) {
  for (const medium of element.querySelectorAll(".question :is(img, video), .answer :is(img, video)")) {
    medium.inert = isCovered();
    if (isCovered()) medium.setAttribute("aria-hidden", "true"), medium.pause?.();
    else medium.removeAttribute("aria-hidden");
  }
}

// ---- reports -------------------------------------------------------------------------------------------------------

/** Whether a report is being written: the page's keys wait. */
export const isReporting = () => Boolean(report?.matches(":popover-open"));

function openReport() {
  if (task().querySelector("[data-report-task]")) report?.showPopover();
}

// The form beside all tasks speaks of the one on the screen.
report?.addEventListener("beforetoggle", ({ newState }) => {
  const opener = task().querySelector("[data-report-task]");
  if (newState !== "open" || !opener) return;
  const form = report.querySelector("form");
  form.reset();
  form.action = opener.dataset.reportTask;
  form.elements.key.value = task().dataset.key;
  form.querySelector("[data-skip]").setAttribute("formaction", opener.dataset.reportTask);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-cover-again]")) turnOver();
  if (event.target.closest("[data-report] [data-skip]")) report.hidePopover(); // sent by the page, as a skip is
});

document.addEventListener("change", (event) => event.target.matches("[data-uncover]") && turned());
