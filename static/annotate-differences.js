// Where two answers differ, word by word, on the words as they are drawn. Off until it is asked for, and off again with
// the next task. Words of one answer alone are marked as such for eyes (a line under them, not only a colour) and for
// those who listen (del and ins); the words themselves are never touched.
import { sharedWords } from "./shared-words.js";
import { answers, says, speak, task } from "./annotate-page.js";

const WORD = /[\p{L}\p{M}\p{N}_]+(?:['’][\p{L}\p{M}\p{N}]+)*/gu;
const ONE_SIGN = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/gu; // scripts without spaces: a sign is a word
const AT_ONCE = 400; // pieces that are marked before the page may paint again

export function toggleDifferences() {
  const button = task().querySelector("[data-differences]");
  if (!button) return;
  const isOn = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", isOn);
  if (isOn) show();
  else hide();
}

function show() {
  const [first, second] = answers().map((one) => wordsOf(one.querySelector("[data-drawn]")));
  const shared = sharedWords(
    first.map((one) => one.word),
    second.map((one) => one.word),
  );
  const rest = [pieces(first, new Set(shared.map(([n]) => n))), pieces(second, new Set(shared.map(([, n]) => n)))];
  const work = [...rest[0].map((piece) => [piece, "del"]), ...rest[1].map((piece) => [piece, "ins"])];
  mark(work, task());
  const counted = rest.map((some) => some.reduce((sum, piece) => sum + piece.words, 0));
  const words = says.saysDifferent.replace("{a}", counted[0]).replace("{b}", counted[1]).replace("{both}", shared.length);
  speak(words);
}

/** Of a text that changed block by block, the words that are gone and those that are new. */
export function markChanges(element) {
  for (const gone of element.querySelectorAll(".change.gone")) {
    const fresh = gone.nextElementSibling;
    if (!fresh?.matches("ins.change")) continue;
    const [first, second] = [gone.querySelector("del"), fresh.querySelector(".prose")].map(wordsOf);
    const shared = sharedWords(
      first.map((one) => one.word),
      second.map((one) => one.word),
    );
    const pairs = [pieces(first, new Set(shared.map(([n]) => n))), pieces(second, new Set(shared.map(([, n]) => n)))];
    for (const piece of pairs[0]) markOne(piece, "del");
    for (const piece of pairs[1]) markOne(piece, "ins");
  }
}

function hide() {
  const gone = task().querySelectorAll("[data-only]");
  const parents = new Set([...gone].map((one) => one.parentNode));
  for (const one of gone) one.replaceWith(...one.childNodes);
  for (const parent of parents) parent.normalize();
}

// Words in reading order, each with its place in the text that is drawn.
function wordsOf(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, (node) =>
    node.parentElement.closest(".math, .copy-code, [data-only]") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  );
  const words = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    for (const found of node.data.matchAll(WORD)) {
      const parts = ONE_SIGN.test(found[0]) ? [...found[0].matchAll(/./gsu)] : [found];
      ONE_SIGN.lastIndex = 0;
      for (const part of parts) {
        const start = part === found ? found.index : found.index + part.index;
        words.push({ node, start, end: start + part[0].length, word: part[0] });
      }
    }
  }
  return words;
}

// Neighbours of one text node become one piece, with what stands between them. Last ones first: what is marked then
// leaves the places of those before it as they are.
function pieces(words, shared) {
  const found = [];
  let open = null;
  words.forEach(({ node, start, end }, n) => {
    if (shared.has(n)) open = null;
    else if (open?.node === node) Object.assign(open, { end, words: open.words + 1 });
    else found.push((open = { node, start, end, words: 1 }));
  });
  return found.reverse();
}

function mark(work, here) {
  for (const [piece, name] of work.splice(0, AT_ONCE)) markOne(piece, name);
  if (work.length) requestAnimationFrame(() => isOn(here) && mark(work, here));
}

function markOne({ node, start, end }, name) {
  const rest = node.splitText(start);
  rest.splitText(end - start);
  const element = document.createElement(name);
  element.dataset.only = "";
  rest.replaceWith(element);
  element.append(rest);
}

const isOn = (here) => here === task() && here.querySelector("[data-differences]").getAttribute("aria-pressed") === "true";
