// Ranking: the selects of the form hold the places; this board shows them. Keys: a digit places the marked answer,
// ← → mark another, ↑ ↓ move it a place. A hand drags a letter, or taps it and then a place.
const DRAGS_AFTER = 6; // pixels; less is a tap

export function ranking(element, host) {
  const says = element.dataset;
  const places = [...element.querySelectorAll("[data-place]")];
  const board = element.querySelector("[data-board]");
  const tiers = [...board.querySelectorAll("[data-tier]")];
  const noOrder = element.closest("form").querySelector("[data-no-order]");
  const chips = new Map();
  let now = null;
  let isConfirmed = false;
  let isDrawing = false; // moving an element takes its focus away, giving it back is no word of the hand
  board.style.setProperty("--most", places.length);
  board.hidden = false;
  element.querySelector(".plain-places").hidden = true;

  for (const place of places) {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = `chip side-${place.dataset.side}`;
    chip.textContent = place.dataset.place;
    chips.set(place, chip);
    chip.addEventListener("pointerdown", (event) => lift(event, place));
    // A finger's way is the chip's alone: a browser that reads a fling into it keeps the next tap from being a click.
    chip.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    chip.addEventListener("focus", () => isDrawing || now === place || mark(place));
  }
  for (const tier of tiers) tier.addEventListener("click", (event) => event.target.closest(".chip") || put(now, tier.dataset.tier));
  noOrder?.addEventListener("input", () => draw());

  const handle = (place) => place.name.slice(place.name.lastIndexOf("tier.") + 5);

  function mark(place) {
    now = place;
    draw();
    host.mark(handle(place));
  }

  function put(place, tier, { isByKey = false } = {}) {
    if (!place) return;
    const before = place.value;
    if (tier && !("ties" in says)) for (const other of places) if (other !== place && other.value === tier) other.value = before;
    place.value = tier;
    if (noOrder) noOrder.checked = false;
    place.dispatchEvent(new Event("input", { bubbles: true }));
    const words = tier ? says.saysPlaced.replace("{place}", tier).replace("{most}", places.length) : says.saysTaken;
    host.speak(words.replace("{letter}", place.dataset.place));
    const next = isByKey && after(place).find((one) => one.value === "");
    mark(next || place);
    chips.get(now).focus({ preventScroll: true });
  }

  const after = (place) => [...places.slice(places.indexOf(place) + 1), ...places.slice(0, places.indexOf(place))];

  function draw() {
    const isOff = Boolean(noOrder?.checked);
    board.classList.toggle("off", isOff);
    const focused = document.activeElement;
    isDrawing = true;
    for (const place of places) {
      const chip = chips.get(place);
      const home = tiers.find((tier) => tier.dataset.tier === place.value).querySelector(".chips");
      if (chip.parentElement !== home) home.append(chip);
      chip.classList.toggle("marked", place === now && !isOff);
      chip.setAttribute("aria-pressed", place === now);
      chip.tabIndex = place === (now || places[0]) ? 0 : -1;
      chip.setAttribute("aria-label", `${place.dataset.place}${place.value ? `, ${place.value}` : ""}`);
    }
    for (const tier of tiers) {
      const home = tier.querySelector(".chips");
      const inOrder = [...home.children].sort((one, other) => one.textContent.localeCompare(other.textContent));
      if (inOrder.some((chip, n) => chip !== home.children[n])) home.append(...inOrder);
    }
    if (focused?.matches?.(".chip") && document.activeElement !== focused) focused.focus({ preventScroll: true });
    isDrawing = false;
  }

  function lift(event, place) {
    if (event.button) return;
    const chip = chips.get(place);
    const from = { x: event.clientX, y: event.clientY };
    let over = null;
    let isDragged = false;
    chip.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const [x, y] = [moved.clientX - from.x, moved.clientY - from.y];
      isDragged = isDragged || Math.hypot(x, y) > DRAGS_AFTER;
      if (!isDragged) return;
      chip.classList.add("dragged");
      chip.style.translate = `${x}px ${y}px`;
      over?.classList.remove("over");
      over = document.elementsFromPoint(moved.clientX, moved.clientY).map((one) => one.closest("[data-tier]")).find((one) => tiers.includes(one));
      over?.classList.add("over");
    };
    const drop = (ended) => {
      chip.removeEventListener("pointermove", move);
      chip.classList.remove("dragged");
      chip.style.translate = "";
      over?.classList.remove("over");
      if (isDragged && over && ended.type === "pointerup") put(place, over.dataset.tier);
      else mark(place);
    };
    chip.addEventListener("pointermove", move);
    chip.addEventListener("pointerup", drop, { once: true });
    chip.addEventListener("pointercancel", drop, { once: true });
  }

  function key(event) {
    const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
    if (digit !== null) {
      if (digit > places.length) return false;
      put(now, digit ? String(digit) : "", { isByKey: digit > 0 });
      return true;
    }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      mark(places[(places.indexOf(now) + step + places.length) % places.length]);
      chips.get(now).focus({ preventScroll: true });
      return true;
    }
    const shift = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!shift) return false;
    const tier = now.value ? Number(now.value) + shift : shift > 0 ? 1 : places.length;
    put(now, String(Math.min(places.length, Math.max(1, tier))));
    return true;
  }

  // An order that nobody has touched is asked about once; said again, it holds as it stands on the screen.
  function missing() {
    if (noOrder?.checked) return "";
    const open = places.filter((place) => place.value === "");
    if (!open.length) return "";
    const letters = places.map((place) => place.dataset.place);
    if (open.length < places.length) return says.saysMissing.replace("{letters}", open.map((one) => one.dataset.place).join(", "));
    if (!isConfirmed) {
      isConfirmed = true;
      return says.saysUntouched.replace("{order}", letters.join(" › "));
    }
    places.forEach((place, n) => (place.value = String(n + 1)));
    draw();
    return "";
  }

  return {
    element,
    key,
    draw,
    missing,
    enter: () => false,
    show: () => mark(places.find((place) => place.value === "") || now || places[0]),
  };
}
