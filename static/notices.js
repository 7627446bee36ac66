// Says when the server could not be reached; what stands in the form stays. Clears when a later request succeeds.
const place = document.getElementById("notices");
const words = document.body.dataset.unreachable;
let shown = null;

document.addEventListener("htmx:sendError", () => {
  if (shown?.isConnected || !place) return;
  shown = document.createElement("div");
  shown.className = "notice error";
  shown.setAttribute("role", "alert");
  const text = document.createElement("p");
  text.className = "notice-text";
  text.textContent = words;
  shown.append(text);
  place.append(shown);
  place.scrollIntoView({ block: "nearest" });
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr } = event.detail;
  if (xhr.status < 400) {
    shown?.remove();
    // a refusal of an earlier try is out of date once a later one went through
    if (target !== place) place?.querySelectorAll(".notice.error").forEach((notice) => notice.remove());
  }
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === place) place.scrollIntoView({ block: "nearest" });
});
