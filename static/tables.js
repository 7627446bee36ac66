// A table that is wide enough for what it holds is no place that scrolls, so that its headings may stay in sight while
// the page does (app.css). One that is not keeps scrolling sideways in itself.
const watching = new ResizeObserver((seen) => {
  for (const table of new Set(seen.map(({ target }) => target.closest(".table")))) {
    table.classList.toggle("fits", table.firstElementChild.scrollWidth <= table.clientWidth);
  }
});

function watch() {
  watching.disconnect();
  for (const table of document.querySelectorAll(".table")) {
    watching.observe(table);
    watching.observe(table.firstElementChild); // what it holds may grow while its own width stays
  }
}
watch();
document.addEventListener("htmx:afterSwap", watch); // before it is painted
