// A person decides: the choice goes to the outbox, and the server's word on it brings the next task or says why not.
import { activeSeconds } from "./annotate-active.js";
import { arm, disarm, isArmed } from "./annotate-arming.js";
import { screenOf, says, seen, task, tell } from "./annotate-page.js";

const FORM = "application/x-www-form-urlencoded";

// outbox, drafts: of this page. swap(target, html, style): a part of the page is replaced.
export function openDeciding({ outbox, drafts, swap }) {
  function send(kind, form, button = null) {
    const said = new URLSearchParams(new FormData(form));
    if (button?.name) said.set(button.name, button.value);
    said.set("seen", seen());
    said.set("active", activeSeconds());
    if (task().dataset.mode === "edit" && form.matches("[data-choices]")) said.set("over", drafts().revs());
    const url = kind === "skip" ? button.getAttribute("formaction") : form.getAttribute("action");
    outbox.put({ kind, screen: screenOf(task()), url, body: said.toString(), type: FORM });
  }

  /** A step of a conversation, which is no answer yet. */
  function sendTurn(url, body) {
    tell(says.saysSending);
    outbox.put({ kind: "turn", screen: screenOf(task()), url, body, type: FORM });
  }

  /** Press a button of the form: a choice, Submit, or Skip. */
  function choose(button) {
    if (!isArmed()) return;
    disarm();
    for (const other of button.form.querySelectorAll(".chosen")) other.classList.remove("chosen");
    button.classList.add("chosen");
    tell(says.saysSending);
    drafts().drop();
    send("skip" in button.dataset ? "skip" : "answer", button.form, button);
  }

  /** The server's word on an answer or a skip. */
  function answered(entry, status, text) {
    const isHere = entry.screen === screenOf(task());
    if (status < 300) {
      if (isHere || task().dataset.mode === "waiting") return swap(task(), text, "outerHTML");
      const time = new DOMParser().parseFromString(text, "text/html").querySelector("[data-saved]")?.dataset.saved;
      return tell(`${says.saysSaved} ${time || ""}`);
    }
    refuse(text);
    if (isHere && !document.activeElement?.matches("textarea, input")) offered()?.focus();
    for (const pressed of task().querySelectorAll(".chosen")) pressed.classList.remove("chosen");
    arm();
  }

  function refuse(text) {
    tell("");
    const place = document.getElementById("refusal");
    swap(place, text, "innerHTML");
    place.scrollIntoView({ block: "nearest" });
  }

  // Where another answer stands already: Enter changes it to this one.
  const offered = () => document.querySelector("#refusal [data-offer] button");

  /** Nothing went through: what was chosen stays marked, and may still be chosen differently. */
  function kept(entry) {
    if (entry.screen !== screenOf(task())) return;
    tell("");
    arm();
  }

  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-choices]")) event.preventDefault(); // Enter in the box is a new line, not an answer
    if (!event.target.matches("[data-offer]")) return;
    event.preventDefault();
    send("answer", event.target);
  });

  return { choose, sendTurn, answered, refuse, kept };
}
