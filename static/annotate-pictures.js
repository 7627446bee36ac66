// A picture of the prompt or of an answer, as large as the screen: by a click on it, or by K, each time the next one.
import { task } from "./annotate-page.js";

const place = document.getElementById("picture");
let shown = 0;

function show(picture) {
  place.replaceChildren(picture.cloneNode());
  place.showPopover();
}

function showNext() {
  const pictures = task().querySelectorAll(".medium img");
  if (pictures.length) show(pictures[shown++ % pictures.length]);
}

export const PICTURE_KEYS = { K: showNext };

document.addEventListener("click", ({ target }) => target.matches("#task .medium img") && show(target));
place.addEventListener("click", () => place.hidePopover());
