// A person's own keys: a box takes the key that is pressed in it, and what would do two things is named at once.
document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (!target.matches("[data-usually]") || key.length > 1 || key === " ") return; // Tab, Enter and the arrows go on as ever
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  target.value = key.toUpperCase();
  compare();
});

document.addEventListener("input", compare);
document.addEventListener("focusin", ({ target }) => target.matches("[data-usually]") && target.select());

function compare() {
  const boxes = [...document.querySelectorAll("[data-usually]")];
  const place = document.querySelector("[data-conflict]");
  if (!place) return;
  const keyOf = (box) => box.value.trim().toUpperCase() || box.dataset.usually;
  const wordsOf = (box) => box.labels[0].textContent;
  const pairs = boxes.flatMap((box, n) => boxes.slice(n + 1).filter((other) => keyOf(other) === keyOf(box)).map((other) => [box, other]));
  const taken = new Set(pairs.flat());
  for (const box of boxes) box.setAttribute("aria-invalid", taken.has(box));
  place.hidden = !pairs.length;
  const [one, other] = pairs[0] || [];
  place.textContent = one
    ? place.dataset.saysTwice.replace("{key}", keyOf(one)).replace("{one}", wordsOf(one)).replace("{other}", wordsOf(other))
    : "";
}
