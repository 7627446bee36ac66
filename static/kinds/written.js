// A text from nothing, with a preview that the server renders: the very same that others will be shown. A prompt also
// has what is nearly the same beside it.
import { growing } from "./sheet.js";

const LOOKED_AFTER = 450; // milliseconds of rest in typing

export function written(element, host) {
  const box = element.querySelector("textarea");
  const button = element.querySelector("[data-preview]");
  const place = element.querySelector("[data-previewed]");
  const near = element.querySelector("[data-near]");
  const newest = { preview: 0, near: 0 };
  let timer = 0;
  growing(box);
  button.hidden = false;
  if (near) element.querySelector("[data-near-place]").hidden = false;

  // The server's word on the text, unless it cannot be reached or a newer one was asked for meanwhile.
  async function ask(what, into) {
    const mine = (newest[what] += 1);
    const html = await fetched(`${host.says.base}/annotate/texts/${what}`, box.value);
    if (html === null || mine !== newest[what] || !into.isConnected) return;
    window.htmx.swap(into, html, { swapStyle: "innerHTML", swapDelay: 0, settleDelay: 0 });
  }

  function preview(isOn) {
    const wasInside = element.contains(document.activeElement);
    element.classList.toggle("previewing", isOn);
    button.setAttribute("aria-pressed", isOn);
    if (isOn) ask("preview", place);
    if (wasInside) (isOn ? place : box).focus({ preventScroll: true });
  }

  const toggle = () => preview(!element.classList.contains("previewing"));
  const look = () => box.value.trim() && ask("near", near);

  button.addEventListener("click", toggle);
  element.addEventListener("keydown", (event) => {
    if (!event.altKey || event.code !== "KeyP" || event.repeat) return;
    event.preventDefault();
    toggle();
  });
  if (near)
    box.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(look, LOOKED_AFTER);
    });

  function write() {
    preview(false);
    box.focus({ preventScroll: true });
    box.scrollIntoView({ block: "nearest" });
  }

  function key(event) {
    const does = { e: write, p: toggle }[event.key.toLowerCase()];
    does?.();
    return Boolean(does);
  }

  return {
    element,
    key,
    draw: () => near && look(),
    missing: () => (box.value.trim() ? "" : element.dataset.saysEmpty),
    enter: () => false,
    show: () => host.mark(null),
  };
}

async function fetched(url, text) {
  try {
    const response = await fetch(url, { method: "POST", headers: { "HX-Request": "true" }, body: new URLSearchParams({ text }) });
    return response.ok ? await response.text() : null;
  } catch {
    return null;
  }
}
