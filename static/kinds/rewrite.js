// Rewrite: the better answer is chosen, its text stands in an editor, and what has changed stands beside it. The text
// itself is never touched from here, so that undo is the browser's own.
import { growing } from "./sheet.js";
import { changes, draw as drawChanges } from "./words.js";

const DRAWN_AFTER = 120; // milliseconds of rest in typing

export function rewrite(element, host) {
  const says = element.dataset;
  const choices = [...element.querySelectorAll(".choose input")];
  const sheets = [...element.querySelectorAll("[data-editor]")];
  const boxOf = (sheet) => sheet.querySelector("textarea");
  const plain = (text) => text.replace(/\r\n?/g, "\n").trim();
  let timer = 0;

  for (const sheet of sheets) {
    sheet.querySelector(".changes").hidden = false;
    growing(boxOf(sheet));
  }

  const now = () => {
    const handle = choices.length ? choices.find((one) => one.checked)?.value : sheets[0].dataset.editor;
    return sheets.find((sheet) => sheet.dataset.editor === handle);
  };
  const isAsBefore = (sheet) => plain(boxOf(sheet).value) === plain(boxOf(sheet).dataset.original);

  // Texts of other answers go along only if something was written there.
  function draw() {
    const open = now();
    for (const sheet of sheets) {
      const box = boxOf(sheet);
      if (box.value === "") box.value = box.dataset.original; // of a draft that says nothing of this one
      sheet.hidden = sheet !== open;
      box.disabled = sheet !== open && isAsBefore(sheet);
    }
    element.classList.toggle("choosing", !open);
    if (open) compare(open);
    host.mark(open?.dataset.editor);
  }

  function compare(sheet) {
    const { value, dataset } = boxOf(sheet);
    const runs = changes(dataset.original, value);
    drawChanges(sheet.querySelector("[data-changes]"), runs);
    const words = (kind) => runs.filter((one) => one.kind === kind).reduce((sum, one) => sum + one.words, 0);
    const counted = says.saysCounted.replace("{added}", words("in")).replace("{removed}", words("out"));
    sheet.querySelector("[data-counted]").textContent = isAsBefore(sheet) ? says.saysNothing : counted;
  }

  function write() {
    const open = now();
    if (!open) return false;
    boxOf(open).focus({ preventScroll: true });
    open.scrollIntoView({ block: "nearest" });
    return true;
  }

  function choose(input) {
    input.checked = true;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    write();
  }

  element.addEventListener("input", (event) => {
    if (event.target.matches("textarea")) {
      clearTimeout(timer);
      timer = setTimeout(() => compare(event.target.closest("[data-editor]")), DRAWN_AFTER);
    } else draw();
  });
  element.addEventListener("click", (event) => event.detail > 0 && event.target.matches(".choose input") && write());

  // What was said to be better in another part of the task is the one that is made better here.
  function show() {
    const said = element.closest("form").querySelector('[name="comparison.choice"]:checked')?.value.split(".")[0];
    const better = choices.find((one) => one.value === said);
    if (better && !now()) better.checked = true;
    draw();
  }

  function key(event) {
    if (event.key.toLowerCase() === "e") return write();
    const input = choices.find((one) => one.dataset.press === event.key);
    if (input) choose(input);
    return Boolean(input);
  }

  function missing() {
    const open = now();
    if (!open) return says.saysChoose;
    if (!boxOf(open).value.trim()) return says.saysEmpty;
    return isAsBefore(open) ? says.saysUnchanged : "";
  }

  return { element, key, draw, missing, show, enter: () => false };
}
