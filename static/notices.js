// Says when the server could not be reached; what stands in the form stays. Clears when a later request succeeds.
// Refusals of a form that stands in an open dialog are said inside it: the page behind rests.
const page = document.getElementById("notices");
const words = document.body.dataset.unreachable;
let shown = null;

const placeOf = (form) => form?.closest("dialog[open]")?.querySelector("[data-refusals]") ?? page;
const isPlace = (element) => Boolean(element && (element === page || element.matches("[data-refusals]")));

document.addEventListener("htmx:sendError", (event) => {
  const place = placeOf(event.detail.elt);
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
  const { target, xhr, requestConfig } = event.detail;
  if (page && target === page) event.detail.target = placeOf(requestConfig.elt);
  if (xhr.status < 400) {
    shown?.remove();
    // a refusal of an earlier try is out of date once a later one went through
    const refusals = target === page ? [] : document.querySelectorAll(":is(#notices, [data-refusals]) .notice.error");
    refusals.forEach((notice) => notice.remove());
  }
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (isPlace(event.detail.target)) event.detail.target.scrollIntoView({ block: "nearest" });
});
