// What every page needs. Each module finds its own elements by data attributes, also in parts that arrive later.
import "./theme.js";
import "./copy.js";
import "./notices.js";
import "./prose.js";
import "./source.js";
import "./tables.js";

// On a phone the sections and tabs are a row that scrolls: the one that is open stands in sight.
function inSight() {
  for (const here of document.querySelectorAll(":is(.side, .tabs) [aria-current=page]")) {
    const row = here.closest(".side, .tabs");
    const [at, box] = [here.getBoundingClientRect(), row.getBoundingClientRect()];
    if (at.left < box.left || at.right > box.right) row.scrollLeft += at.left - box.left - (box.width - at.width) / 2;
  }
}
inSight();
document.addEventListener("htmx:afterSettle", inSight);
