// A conversation: a message is sent, its answers appear when all of them are there, one of them is chosen and the next
// message is written. What is typed is a draft of the task; what is sent goes through the outbox, so that neither a
// server nor a model that is away loses a word. The conversation itself (#talk) is drawn by the server each time.
import { questions } from "./questions.js";
import { growing } from "./sheet.js";

const LOOKED_AFTER = 1000; // milliseconds between two looks at answers that are on their way
const HIDDEN = 5000; // where nobody sees the page
const ARMED_AFTER = 400; // milliseconds after answers are painted, before a key chooses
const ENTER_SENDS = "hone.enter-sends";

export function conversation(element, host) {
  const section = element.closest(".task");
  const form = element.closest("form");
  const says = element.dataset;
  const isTrial = section.dataset.mode === "trial";
  const address = form.getAttribute("action");
  const talk = () => section.querySelector("#talk");
  const box = () => talk()?.querySelector("#words");
  const state = () => talk()?.dataset.state;
  let scores = null; // the questions about the answers, where each gets a score
  let armed = false;
  let isSending = false;
  let held = ""; // words for the next message, while the last answers are judged again
  let timer = 0;

  // The judgement stays above the last row, however many lines that takes. The height stands on an element that is never
  // swapped: htmx copies attributes of elements that are, and a copied style is one that the content policy forbids.
  const row = form.querySelector(".beside");
  const { style } = section.parentElement;
  new ResizeObserver(() => style.setProperty("--bar", `${row.offsetHeight}px`)).observe(row);

  // ---- the conversation is drawn -----------------------------------------------------------------------------------

  function settle() {
    const now = talk();
    if (!now) return;
    element.querySelector("[data-turns]").value = now.dataset.judged;
    section.querySelector("[data-missing]")?.replaceChildren();
    const judge = now.querySelector("[data-judge]");
    if (judge) judge.elements.key.value = section.dataset.key || "";
    const rating = judge?.querySelector(".block");
    scores = rating ? questions(rating, host) : null;
    scores?.show();
    const typing = box();
    if (typing) growing(typing), settings();
    armed = false;
    requestAnimationFrame(() => setTimeout(() => talk() === now && arm(), ARMED_AFTER));
    clearTimeout(timer);
    if (state() === "waiting" && !isTrial) timer = setTimeout(look, document.hidden ? HIDDEN : LOOKED_AFTER);
  }

  function arm() {
    armed = true;
    talk().setAttribute("data-armed", ""); // as #task says it: annotate-arming.js
  }

  // typed: words in the box that the server has not taken. isByHand: the person has just done something here.
  function swap(html, { typed = "", isByHand = false } = {}) {
    const hadHand = isByHand || talk().contains(document.activeElement) || document.activeElement === document.body;
    const before = state();
    isSending = false;
    window.htmx.swap(talk(), html, { swapStyle: "outerHTML", swapDelay: 0, settleDelay: 0 });
    const typing = box();
    if (!typing) held = typed || held;
    else if (typed || held) [typing.value, held] = [typed || held, ""];
    settle();
    if (before !== state() || isByHand) arrived(hadHand, isByHand);
  }

  function arrived(hadHand, isByHand) {
    const now = talk();
    const answers = now.querySelector("[data-answers]");
    const spoken = { waiting: says.saysSent, choose: "", write: says.saysWrite, full: says.saysFull, stuck: "" }[state()];
    const trouble = now.querySelector(".trouble p")?.textContent || "";
    if (answers) host.speak(`${says.saysReady.replace("{n}", answers.children.length)} ${element.title || ""}`.trim());
    else host.speak(trouble || spoken || "");
    if (!hadHand) return;
    const place = answers || box() || now.querySelector("[data-now]");
    place?.focus({ preventScroll: true });
    if (isByHand && state() === "waiting") now.querySelector("[data-now]")?.scrollIntoView({ block: "start" });
    if (isByHand && box()) now.querySelector("[data-message]").scrollIntoView({ block: "nearest" });
  }

  async function look() {
    const now = talk();
    if (!section.isConnected || !now) return;
    try {
      const response = await fetch(`${address}/turns`, { headers: { "HX-Request": "true" } });
      const html = response.ok ? await response.text() : "";
      const mark = new DOMParser().parseFromString(html, "text/html").querySelector("#talk")?.dataset.mark;
      if (talk() !== now) return;
      if (mark && mark !== now.dataset.mark) return swap(html, { typed: unsent() });
    } catch {
      // the server is away: it is asked again
    }
    timer = setTimeout(look, document.hidden ? HIDDEN : LOOKED_AFTER);
  }

  const unsent = () => (box() ? box().value : "");

  // ---- what the person does ----------------------------------------------------------------------------------------

  function send() {
    const typing = box();
    if (!typing || isSending) return;
    if (!typing.value.trim()) {
      host.speak(says.saysEmpty);
      return typing.focus();
    }
    if (isTrial) return host.tell(says.saysTrial);
    post("turns", { number: talk().dataset.number, words: typing.value });
  }

  function judge(button) {
    const asked = talk().querySelector("[data-judge]");
    if (!asked || isSending || !armed) return;
    const said = new URLSearchParams(new FormData(asked));
    if (button?.name) said.set(button.name, button.value);
    for (const other of asked.querySelectorAll(".chosen")) other.classList.remove("chosen");
    button?.classList.add("chosen");
    if (isTrial) return host.tell(says.saysTrial);
    post(`turns/${talk().dataset.number}`, said);
  }

  function post(path, said) {
    isSending = true;
    const body = new URLSearchParams(said);
    body.set("key", section.dataset.key);
    host.send(`${address}/${path}`, body.toString());
  }

  function again() {
    if (talk().querySelector("[data-again]")) post(`turns/${talk().dataset.number}/again`, {});
  }

  // Until the next message is sent, the answers to the last one can be judged again.
  function anew() {
    const button = talk().querySelector("[data-anew]");
    if (button && !isSending) post(`turns/${button.dataset.anew}/anew`, {});
  }

  // The server's word on one of these. What it did not take stays where it was typed.
  function turned(entry, status, text) {
    isSending = false;
    if (status < 300) {
      const sent = new URLSearchParams(entry.body).get("words");
      const typed = unsent();
      swap(text, { typed: sent !== null && typed === sent ? "" : typed, isByHand: true });
      if (sent !== null) form.dispatchEvent(new Event("input", { bubbles: true })); // the draft holds these words no more
      return;
    }
    for (const one of talk().querySelectorAll(".chosen")) one.classList.remove("chosen");
    look();
  }

  section.addEventListener("click", (event) => {
    const pressed = event.target.closest("#talk button");
    if (!pressed) return;
    const does = pressed.dataset;
    if (does.press === undefined && !("send" in does) && !("again" in does) && !("anew" in does) && !("judged" in does)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.detail > 1) return; // the second half of a double click
    if ("send" in does) send();
    else if ("again" in does) again();
    else if ("anew" in does) anew();
    else if ("judged" in does) finishScores();
    else judge(pressed);
  });
  section.addEventListener("keydown", (event) => {
    if (event.target !== box() || event.key !== "Enter" || event.repeat || event.isComposing || event.shiftKey) return;
    const isSet = localStorage.getItem(ENTER_SENDS) === "yes";
    if (!isSet || event.ctrlKey || event.metaKey || event.altKey) return; // Ctrl+Enter comes by `enter` below
    event.preventDefault();
    event.stopPropagation();
    send();
  });
  section.addEventListener("change", (event) => {
    if (!event.target.matches("[data-enter-sends]")) return;
    localStorage.setItem(ENTER_SENDS, event.target.checked ? "yes" : "no");
    settings();
  });

  function settings() {
    const isSet = localStorage.getItem(ENTER_SENDS) === "yes";
    const place = talk().querySelector(".enter-sends");
    place.hidden = false;
    place.querySelector("input").checked = isSet;
    talk().querySelector("[data-send-key]").textContent = isSet ? says.saysEnter : says.saysCtrl;
  }

  // ---- keys --------------------------------------------------------------------------------------------------------

  function finishScores() {
    const open = talk().querySelector("[data-open]");
    if (open) open.textContent = scores.missing();
    if (!scores.missing()) judge(null);
  }

  function enter() {
    const typing = box();
    if (typing && (document.activeElement === typing || typing.value.trim())) {
      send();
      return true;
    }
    if (state() !== "choose" || !scores) return false;
    if (!scores.enter()) finishScores();
    return true;
  }

  function key(event) {
    const pressed = CSS.escape(event.key.toUpperCase());
    if (state() === "choose") {
      if (scores) return scores.key(event);
      const button = talk().querySelector(`[data-judge] [data-press="${pressed}"], [data-judge] [data-also="${pressed}"]`);
      if (button) judge(button);
      return Boolean(button);
    }
    const does = { b: anew, e: () => box()?.focus(), t: again }[event.key.toLowerCase()];
    does?.();
    return Boolean(does);
  }

  function missing() {
    const now = talk();
    if (isTrial || now.dataset.state === "over") return "";
    if (unsent().trim()) return says.saysUnsent;
    if (now.dataset.state === "choose") return scores ? says.saysScore : says.saysJudge;
    return now.dataset.short || "";
  }

  return { element, key, enter, missing, turned, draw: settle, show: () => host.mark(null) };
}
