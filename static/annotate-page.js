// What all parts of the annotate page ask of it: its elements, its words, what it says.
export const workspace = document.getElementById("workspace");
export const says = workspace.dataset;
export const task = () => document.getElementById("task");
export const form = () => task().querySelector("[data-choices]");
export const answers = () => [...task().querySelectorAll("[data-answer]")];
export const screenOf = (element) => element?.dataset.key || element?.dataset.annotation || "";
export const seen = () => document.getElementById("guidelines-text")?.dataset.version || 0;

/** With everything that is sent: whose page this is. To the server somebody else's cookie is nobody's then. */
export const MINE = { "HX-Request": "true", "Hone-Person": says.person };

export const TWO_COLUMNS = matchMedia("(width >= 900px)");

const spoken = document.getElementById("spoken");

/** For those who listen: said once, politely. */
export const speak = (words) => (spoken.textContent = words);

/** A word beside the title: saved, saving, a draft. */
export function tell(words) {
  const place = task().querySelector("[data-state]");
  if (place) place.textContent = words;
}

/** Settings of the page that a person keeps in this browser. */
export function kept(name, otherwise) {
  return localStorage.getItem(`hone.${name}`) ?? otherwise;
}

export function keep(name, value) {
  try {
    localStorage.setItem(`hone.${name}`, value);
  } catch {
    // full or forbidden: it holds as long as the page does
  }
}
