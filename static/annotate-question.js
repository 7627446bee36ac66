// A question about the task on the screen, in a dialog of the page: the task and what was typed there stay as they are.
import { MINE, task } from "./annotate-page.js";

const dialog = document.getElementById("ask");
const form = dialog?.querySelector("form");

/** Whether a question is being written: the page's keys wait. */
export const isAsking = () => Boolean(dialog?.matches(":popover-open"));

export const QUESTION_KEYS = { Q: () => opener() && dialog?.showPopover() };

const opener = () => task().querySelector("[data-question]");
const turn = ({ isAsked }) => {
  const asked = dialog.querySelector("[data-asked]");
  form.hidden = isAsked;
  asked.hidden = !isAsked;
  if (isAsked) asked.querySelector("button").focus();
};
const refused = (words) => {
  const place = form.querySelector("[data-refused]");
  place.hidden = !words;
  place.textContent = words;
};

// Words that were not sent stay, until another task is asked about.
dialog?.addEventListener("beforetoggle", ({ newState }) => {
  if (newState !== "open" || !opener()) return;
  const address = opener().dataset.question;
  if (form.getAttribute("action") !== address) form.reset();
  form.setAttribute("action", address);
  refused("");
  turn({ isAsked: false });
});

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const sending = form.querySelector("button.primary");
  if (sending.disabled) return;
  sending.disabled = true;
  const headers = { ...MINE, Accept: "application/json" };
  try {
    const response = await fetch(form.action, { method: "POST", headers, body: new URLSearchParams(new FormData(form)) });
    if (!response.ok) throw new Error();
    form.reset();
    turn({ isAsked: true });
  } catch {
    refused(document.body.dataset.unreachable);
  } finally {
    sending.disabled = false;
  }
});

form?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.preventDefault(), form.requestSubmit();
});
