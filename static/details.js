// A page that looks again by itself must not close what its reader has opened: every <details> with an id stays as it is.
let opened = new Map();

document.addEventListener("htmx:beforeSwap", (event) => {
  const all = event.detail.target?.querySelectorAll("details[id]") ?? [];
  opened = new Map([...all].map((one) => [one.id, one.open]));
});

document.addEventListener("htmx:afterSwap", () => {
  for (const [id, open] of opened) {
    const now = document.getElementById(id);
    if (now) now.open = open;
  }
  opened.clear();
});
