// A table that is wide enough for what it holds is no place that scrolls, so that its headings may stay in sight while
// the page does (app.css). One that is not keeps scrolling sideways in itself.
const watching = new ResizeObserver((seen) => {
  for (const { target } of seen) target.classList.toggle("fits", target.firstElementChild.scrollWidth <= target.clientWidth);
});

function watch() {
  watching.disconnect();
  for (const table of document.querySelectorAll(".table")) watching.observe(table);
}
watch();
document.addEventListener("htmx:afterSettle", watch);
