// Answers as they were written, on a switch. They are fetched when they are wanted first: most tasks never need them.
import { says, task, tell } from "./annotate-page.js";
import { isWritten, showSource } from "./source.js";

export async function toggleSource() {
  const here = task();
  const button = here.querySelector("[data-source]");
  if (!button) return;
  if (!("there" in button.dataset) && !(await fetched(here, button))) return;
  button.setAttribute("aria-pressed", showSource(here, !isWritten(here)));
}

// Texts of the prompt's turns, then of the answers: the order in which they stand on the page.
async function fetched(here, button) {
  try {
    const response = await fetch(button.dataset.source);
    if (!response.ok || here !== task()) return false;
    const texts = await response.json();
    [...here.querySelectorAll("[data-written]")].forEach((place, n) => {
      place.innerHTML = texts[n] ?? ""; // escaped by the server, with marks on what cannot be seen
    });
    button.dataset.there = "";
    return true;
  } catch {
    tell(document.body.dataset.unreachable || says.saysUnsaved);
    return false;
  }
}
