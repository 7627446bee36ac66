// Errors marked in an answer's text: picked by mouse, by touch or word by word with keys, then a category and a severity.
// While its question is at hand an answer shows its source, so that what is picked needs no mapping: offsets count code
// points of that text. What is kept is a field of lines, "start end category severity note", as the server reads it.

const read = (text) =>
  text
    .split("\n")
    .map((line) => line.trim().match(/^(\d+) (\d+) (\S+) (\S+)(?: (.*))?$/))
    .filter(Boolean)
    .map(([, start, end, category, severity, note = ""]) => ({ start: +start, end: +end, category, severity, note }));

const written = (spans) =>
  spans.map((one) => `${one.start} ${one.end} ${one.category} ${one.severity} ${one.note}`.trim()).join("\n");

const length = (text) => [...text].length;

// Words as {start, end} in code points: whatever stands between spaces, in scripts without spaces each word.
export function wordsOf(text) {
  const parts = globalThis.Intl?.Segmenter
    ? [...new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)].map((one) => one.segment)
    : text.split(/(\s+)/u);
  let at = 0;
  const found = [];
  for (const part of parts) {
    const end = at + length(part);
    if (part.trim()) found.push({ start: at, end });
    at = end;
  }
  return found;
}

// Cut wherever a span begins or ends: [{start, end, spans: numbers}], in order and without a gap.
export function piecesOf(size, spans) {
  const cuts = [...new Set([0, size, ...spans.flatMap((one) => [one.start, one.end])])].sort((a, b) => a - b);
  return cuts.slice(1).map((end, n) => ({
    start: cuts[n],
    end,
    spans: spans.flatMap((one, number) => (one.start <= cuts[n] && end <= one.end ? [number] : [])),
  }));
}

export function spansIn(fieldset, article, host) {
  const lines = fieldset.querySelector("[data-lines]");
  const list = fieldset.querySelector("[data-list]");
  const categories = [...fieldset.querySelectorAll("[data-category]")];
  const severities = [...fieldset.querySelectorAll("[data-severity]")];
  const says = fieldset.dataset;
  const source = JSON.parse(says.source);
  const letters = [...source];
  const words = wordsOf(source);
  const page = document.createElement("pre");
  let spans = [];
  let picked = null; // {start, end}
  let ends = null; // [anchor, focus]: numbers of words, while words are picked
  let marked = -1; // the span that is spoken about
  let category = null; // chosen, and waits for its severity
  page.className = "source marking";
  page.dir = "auto";
  page.hidden = true;
  article.querySelector("[data-both]").after(page);
  lines.closest("label").hidden = true;
  fieldset.querySelector("[data-tools]").hidden = false;

  const label = (button) => button.querySelector("span").textContent;
  const labelOf = (buttons, key, name) => label(buttons.find((one) => one.dataset[name] === key) || buttons[0]);
  const textOf = ({ start, end }) => letters.slice(start, end).join("");

  function keep() {
    spans.sort((a, b) => a.start - b.start || a.end - b.end);
    lines.value = written(spans);
    lines.dataset.word = spans.length || "";
    lines.dispatchEvent(new Event("input", { bubbles: true }));
    draw();
  }

  function drawPage() {
    const shownPick = picked ? [...spans, picked] : spans;
    page.replaceChildren(
      ...piecesOf(letters.length, shownPick).map((piece) => {
        const own = piece.spans.filter((number) => number < spans.length);
        const part = document.createElement(own.length ? "mark" : "span");
        part.textContent = textOf(piece);
        if (own.length) {
          const worst = Math.max(...own.map((number) => severities.findIndex((one) => one.dataset.severity === spans[number].severity)));
          part.className = `error worst-${worst}${own.length > 1 ? " twice" : ""}${own.includes(marked) ? " now" : ""}`;
          part.title = own.map((number) => words2(spans[number])).join("; ");
        }
        if (piece.spans.length > own.length) part.classList.add("picked");
        return part;
      }),
    );
    page.querySelector(".picked, .now")?.scrollIntoView({ block: "nearest" });
  }

  const words2 = (span) => `${labelOf(categories, span.category, "category")}, ${labelOf(severities, span.severity, "severity")}`;

  function drawTools() {
    const isReady = picked !== null || marked >= 0;
    const span = spans[marked];
    for (const button of categories) {
      button.disabled = !isReady;
      button.setAttribute("aria-pressed", String(category === button.dataset.category || (!category && span?.category === button.dataset.category)));
    }
    for (const button of severities) {
      button.disabled = !(category || span);
      button.setAttribute("aria-pressed", String(!category && span?.severity === button.dataset.severity));
    }
    fieldset.classList.toggle("wants-severity", category !== null);
    list.replaceChildren(...spans.map(row));
    list.querySelector(".now")?.scrollIntoView({ block: "nearest" });
  }

  function row(span, number) {
    const item = document.createElement("li");
    const name = Object.assign(document.createElement("button"), { type: "button", className: "quiet-button" });
    name.append(Object.assign(document.createElement("b"), { textContent: words2(span) }), " ", Object.assign(document.createElement("q"), { textContent: textOf(span), dir: "auto" }));
    name.addEventListener("click", () => speakOf(number));
    item.append(name);
    if (number === marked) {
      item.className = "now";
      const note = Object.assign(document.createElement("input"), { type: "text", maxLength: 500, value: span.note, placeholder: says.saysNote });
      note.setAttribute("aria-label", says.saysNote);
      note.addEventListener("change", () => ((span.note = note.value.trim().replace(/\s+/g, " ")), keep()));
      const remove = Object.assign(document.createElement("button"), { type: "button", className: "button small", textContent: says.saysRemove });
      remove.addEventListener("click", erase);
      item.append(note, remove);
    } else if (span.note) item.append(` ${span.note}`);
    return item;
  }

  function draw() {
    drawPage();
    drawTools();
  }

  function speakOf(number) {
    [marked, picked, ends, category] = [number, null, null, null];
    draw();
    if (spans[number]) host.speak(`${words2(spans[number])}: ${textOf(spans[number])}`);
  }

  function pick(range, byWords = null) {
    [picked, ends, marked, category] = [range, byWords, -1, null];
  }

  function pickWords(anchor, focus) {
    if (!words.length) return;
    const [a, b] = [anchor, focus].map((one) => Math.min(words.length - 1, Math.max(0, one)));
    pick({ start: words[Math.min(a, b)].start, end: words[Math.max(a, b)].end }, [a, b]);
    draw();
    host.speak(textOf(picked));
  }

  // By keys: a word further or back; with Shift the other end stays.
  function step(by, isLonger) {
    if (!picked) {
      const from = marked >= 0 ? wordAt(spans[marked].start) : by > 0 ? -1 : words.length;
      return pickWords(from + by, from + by);
    }
    const [anchor, focus] = ends || [wordAt(picked.start), wordAt(picked.end - 1)];
    pickWords(isLonger ? anchor : focus + by, focus + by);
  }

  const wordAt = (place) => {
    const found = words.findIndex((word) => place < word.end);
    return found < 0 ? words.length - 1 : found;
  };

  function choose(button) {
    if (button.disabled) return;
    const { category: named, severity } = button.dataset;
    if (named && severities.length > 1 && !(marked >= 0)) category = named;
    else if (named && marked >= 0) spans[marked].category = named;
    else if (marked >= 0 && !picked) spans[marked].severity = severity;
    else add(named || category, severity || severities[0].dataset.severity);
    if (marked >= 0) keep();
    else draw();
  }

  function add(named, severity) {
    const same = spans.find((one) => one.start === picked.start && one.end === picked.end && one.category === named && one.severity === severity);
    const span = same || { ...picked, category: named, severity, note: "" };
    if (!same) spans.push(span);
    spans.sort((a, b) => a.start - b.start || a.end - b.end);
    getSelection().removeAllRanges();
    speakOf(spans.indexOf(span));
  }

  function erase() {
    if (marked >= 0) spans.splice(marked, 1);
    speakOf(-1);
    keep();
  }

  // ---- by hand -----------------------------------------------------------------------------------------------------

  const offsetOf = (node, place) => {
    const before = document.createRange();
    before.setStart(page, 0);
    before.setEnd(node, place);
    return length(before.toString());
  };

  function handPicked() {
    const chosen = getSelection();
    if (page.hidden || chosen.isCollapsed || !chosen.rangeCount) return null;
    const range = chosen.getRangeAt(0);
    if (!page.contains(range.startContainer) || !page.contains(range.endContainer)) return null;
    const [start, end] = [offsetOf(range.startContainer, range.startOffset), offsetOf(range.endContainer, range.endOffset)];
    return start < end ? { start, end } : null;
  }

  function selectionChanged() {
    if (!page.isConnected) return document.removeEventListener("selectionchange", selectionChanged);
    const range = handPicked();
    if (!range) return;
    pick(range);
    drawTools(); // the text stays as it is, or the browser's own selection would be gone
  }
  document.addEventListener("selectionchange", selectionChanged);

  // A tap or a click: on a marked error it is spoken about, each further one speaks about the next that lies there; on
  // any other word it picks that, and a second tap (or a click with Shift) goes on to there.
  page.addEventListener("click", (event) => {
    if (handPicked()) return;
    const at = placeOf(event);
    if (at === null) return;
    const here = spans.flatMap((one, number) => (one.start <= at && at < one.end ? [number] : []));
    const isGoingOn = picked && ends && (event.pointerType === "touch" || event.shiftKey);
    if (isGoingOn && at >= picked.start && at < picked.end) return speakOf(-1);
    if (isGoingOn) return pickWords(ends[0], wordAt(at));
    if (here.length) return speakOf(here[(here.indexOf(marked) + 1) % here.length]);
    pickWords(wordAt(at), wordAt(at));
  });

  function placeOf({ clientX, clientY }) {
    const found = document.caretPositionFromPoint?.(clientX, clientY);
    const range = found ? null : document.caretRangeFromPoint?.(clientX, clientY);
    const [node, place] = found ? [found.offsetNode, found.offset] : [range?.startContainer, range?.startOffset];
    return node && page.contains(node) ? Math.min(offsetOf(node, place), letters.length - 1) : null;
  }

  for (const button of [...categories, ...severities]) {
    button.addEventListener("pointerdown", (event) => event.preventDefault()); // what is selected stays so
    button.addEventListener("click", () => choose(button));
  }

  function key(event) {
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (side) return step(getComputedStyle(page).direction === "rtl" ? -side : side, event.shiftKey), true;
    const turn = { ",": -1, ".": 1 }[event.key];
    if (turn && spans.length) return speakOf((Math.max(marked, turn > 0 ? -1 : 0) + turn + spans.length) % spans.length), true;
    if (event.key === "Delete" || event.key === "Backspace") return erase(), true;
    if (event.key === "Escape" && (picked || marked >= 0)) return getSelection().removeAllRanges(), speakOf(-1), true;
    if (event.key.toLowerCase() === "c" && marked >= 0) return list.querySelector(".now input")?.focus(), true;
    const asked = category === null ? categories : severities;
    const button = asked.find((one) => one.dataset.key === event.key.toUpperCase());
    if (button) choose(button);
    return Boolean(button) || /^[0-9]$/.test(event.key);
  }

  return {
    fieldset,
    key,
    draw: () => {
      spans = read(lines.value);
      lines.dataset.word = spans.length || "";
      speakOf(-1);
    },
    show: (isHere) => {
      if (page.hidden !== isHere) return;
      page.hidden = !isHere;
      article.querySelector("[data-both]").hidden = isHere;
      if (isHere) draw();
    },
  };
}
