// Questions one after the other: each a fieldset of radios, boxes or a number. A key answers the one that is marked,
// then the next open one is marked; a row of small buttons shows all of them with what was said.
export function questions(element, host) {
  const asked = [...element.querySelectorAll("[data-question]")];
  const steps = element.insertBefore(document.createElement("div"), element.firstChild);
  steps.className = "steps";
  const buttons = asked.map((question) => {
    const button = steps.appendChild(document.createElement("button"));
    button.type = "button";
    button.className = "step";
    button.addEventListener("click", () => mark(question, { isByHand: true }));
    return button;
  });
  let now = null;
  element.classList.add("stepping");
  steps.hidden = asked.length < 2;

  const inputs = (question) => [...question.querySelectorAll("input:not([data-slide]), textarea")];
  const said = (question) =>
    inputs(question)
      .filter((input) => (input.matches("[type=number], textarea") ? input.value.trim() !== "" : input.checked))
      .map((input) => input.dataset.word || input.value);
  const settles = () => element.querySelector("[data-settles]:checked"); // nothing else is asked then
  const ends = () => element.querySelector("[data-ends]:checked"); // there is nothing to compare
  const isAsked = (question) =>
    !question.disabled && !("unlike" in question.dataset && settles()) && !("criterion" in question.dataset && ends());
  const isUnsaid = (question) => "offered" in question.dataset && isAsked(question) && !said(question).length;
  const isOpen = (question) =>
    "required" in question.dataset && isAsked(question) && (!said(question).length || !inputs(question).every((one) => one.checkValidity()));
  const name = (question) => [question.dataset.letter, question.dataset.label].filter(Boolean).join(" ");

  function mark(question, { isByHand = false } = {}) {
    now = question;
    draw();
    if (!question) return; // nothing is asked here
    if (question.dataset.about) host.mark(question.dataset.about);
    if (isByHand) (inputs(question).find((one) => one.checked) || inputs(question)[0])?.focus({ preventScroll: true });
  }

  function onward() {
    const from = asked.indexOf(now);
    const after = asked.slice(from + 1); // what need not be said is offered once, on the way
    const next = after.find((one) => isOpen(one) || isUnsaid(one)) || asked.slice(0, from + 1).find(isOpen);
    if (next) mark(next, { isByHand: true });
    else draw();
    return Boolean(next);
  }

  function draw() {
    for (const question of asked) question.classList.toggle("marked", question === now);
    asked.forEach((question, n) => {
      const words = said(question).join(" ");
      buttons[n].replaceChildren(name(question), Object.assign(document.createElement("b"), { textContent: words || "–" }));
      buttons[n].hidden = !isAsked(question);
      buttons[n].classList.toggle("said", words !== "");
      buttons[n].setAttribute("aria-current", question === now ? "step" : "false");
    });
    for (const slide of element.querySelectorAll("[data-slide]")) {
      const number = slide.parentElement.querySelector("[type=number]");
      slide.classList.toggle("untouched", number.value === "");
      if (number.value !== "") slide.value = number.value;
    }
    buttons[asked.indexOf(now)]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function press(input) {
    const isBox = input.type === "checkbox";
    input.checked = isBox ? !input.checked : true;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    if (!isBox) answered(input.closest("[data-question]"));
  }

  // The key of the last question decides, where it does and nothing is open.
  function answered(question) {
    if (!onward() && "decides" in question.dataset) host.decide();
  }

  element.addEventListener("input", (event) => {
    const { target } = event;
    if ("slide" in target.dataset) target.parentElement.querySelector("[type=number]").value = target.value;
    const unlike = element.querySelector("[data-unlike]");
    if (unlike) keepApart(unlike, target);
    draw();
  });
  element.addEventListener("click", (event) => {
    const isHand = event.detail > 0 && event.target.matches("input[type=radio]");
    if (isHand) answered(event.target.closest("[data-question]"));
  });
  element.addEventListener("focusin", (event) => {
    const question = event.target.closest("[data-question]");
    if (question && question !== now) mark(question);
  });

  // One answer cannot be both the best and the worst: the newer word holds.
  function keepApart(unlike, changed) {
    const worst = unlike.querySelector(":checked");
    const best = asked[0].querySelector(":checked");
    if (!worst || !best) return;
    if ("settles" in best.dataset) worst.checked = false;
    else if (worst.value === best.value) (changed === worst ? best : worst).checked = false;
  }

  function key(event) {
    if (!now) return false;
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step) {
      const shown = asked.filter(isAsked);
      const place = Math.min(shown.length - 1, Math.max(0, shown.indexOf(now) + step));
      mark(shown[place], { isByHand: true });
      return true;
    }
    const pressed = CSS.escape(event.key.toUpperCase());
    const named = `[data-press="${pressed}"], [data-also="${pressed}"]`;
    const input = now.querySelector(named) || [...element.querySelectorAll("[data-anywhere]")].find((one) => one.matches(named));
    if (input) {
      press(input);
      return true;
    }
    const number = now.querySelector("[type=number]");
    if (number && /^[0-9]$/.test(event.key)) {
      number.focus({ preventScroll: true });
      number.value = event.key;
      number.dispatchEvent(new Event("input", { bubbles: true }));
      return true;
    }
    if (event.key.toLowerCase() !== "f") return false;
    const flags = asked.find((one) => "flags" in one.dataset && one.dataset.about === now.dataset.about);
    if (flags) mark(flags, { isByHand: true });
    return Boolean(flags);
  }

  return {
    element,
    key,
    draw,
    enter: () => Boolean(now) && !isOpen(now) && onward(),
    show: () => mark(asked.find((one) => isOpen(one) || isUnsaid(one)) || now || asked.find(isAsked)),
    missing: () => {
      const open = asked.filter(isOpen);
      return open.length ? host.says.saysOpen.replace("{names}", open.map(name).join(", ")) : "";
    },
  };
}
