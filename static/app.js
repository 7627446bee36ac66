// What every page needs. Each module finds its own elements by data attributes, also in parts that arrive later.
import "./theme.js";
import "./copy.js";
import "./notices.js";
import "./prose.js";
import "./source.js";
import "./tables.js";

// On a phone the sections and tabs are a row that scrolls: the one that is open stands in sight.
// Only where they have just come: who scrolled the row is not taken back by a page that looks again every two seconds.
function inSight(part) {
  for (const here of part.querySelectorAll(":is(.side, .tabs) [aria-current=page]")) {
    const row = here.closest(".side, .tabs");
    const [at, box] = [here.getBoundingClientRect(), row.getBoundingClientRect()];
    if (at.left < box.left || at.right > box.right) row.scrollLeft += at.left - box.left - (box.width - at.width) / 2;
  }
}
inSight(document);
document.addEventListener("htmx:afterSettle", (event) => inSight(event.target));
