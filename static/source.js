// As drawn or as written: `ui.judged` puts both into the page, and this shows one of them.
// A button [data-show-source] switches all texts of the element that it names, or of the page.

/** Show every text below `root` as it was written, or as it is drawn; true: as written. */
export function showSource(root, written = !isWritten(root)) {
  for (const both of root.querySelectorAll("[data-both]")) {
    both.querySelector("[data-drawn]").hidden = written;
    both.querySelector("[data-written]").hidden = !written;
  }
  for (const button of document.querySelectorAll("[data-show-source]")) {
    if (rootOf(button) === root) button.setAttribute("aria-pressed", written);
  }
  return written;
}

/** Whether the texts below `root` are shown as they were written. */
export function isWritten(root) {
  return root.querySelector("[data-both] > [data-written]:not([hidden])") !== null;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-show-source]");
  if (button) showSource(rootOf(button));
});

function rootOf(button) {
  return document.getElementById(button.dataset.showSource) ?? document.body;
}
