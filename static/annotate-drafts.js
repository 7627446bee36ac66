// What is typed and not sent yet: kept on the server as it grows, and put back when its task comes again.
//
// A draft says which drafts its words grew out of (`over`), and the server takes it only in their place, whatever the
// clocks of two devices say. Where it holds others, typed in another tab or on another device, both are offered, and
// neither is dropped before a person has chosen.
const SOON = 500; // milliseconds after the last letter
const GROWN = 30; // how many of one's own may have reached the server while its word on them was lost

// told: whether a field belongs to a draft. redraw: after fields were filled. tell: says a word beside the title.
export function openDrafts(outbox, { task, form, belongs, redraw, tell, says }) {
  const offer = document.getElementById("other-words");
  let timer = 0;
  let over = [0];
  let known = ""; // the words that the server holds, as far as this page knows
  let newest = null; // what was typed last on this page
  let of = ""; // the screen that it was typed on

  const mode = () => (form() ? task().dataset.mode : "");
  const isOpen = () => ["task", "edit"].includes(mode());
  // An answer that is opened again has drafts of its own, each of the version of the answer that stands in the form.
  const screen = () => task().dataset.key || task().dataset.annotation;
  const version = () => Number(task().dataset.version) || undefined;

  function touched() {
    if (!isOpen()) return;
    clearTimeout(timer);
    timer = setTimeout(save, SOON);
  }

  function drop() {
    clearTimeout(timer);
    timer = 0;
  }

  // Before the task leaves the screen: what was typed a moment ago is not waited for.
  function flush() {
    if (timer) save();
  }

  // A task that is being read for long is kept for its reader.
  function stay() {
    if (mode() === "task") save();
  }

  function save() {
    drop();
    if (!isOpen()) return;
    const { key } = task().dataset;
    const rev = Math.max(Date.now(), ...over) + 1 + Math.floor(Math.random() * 1000); // never another page's as well
    newest = { key, version: version(), rev, over, body: typed() };
    of = screen();
    over = [...over.slice(-GROWN), rev];
    const url = `${form().getAttribute("action")}/draft`;
    const body = JSON.stringify(newest);
    outbox.put({ kind: "draft", screen: of, url, rev, over: newest.over, body, type: "application/json" });
  }

  // What stands in the form's fields, those without a word left out: the same shape that the server's drafts have.
  function typed() {
    const said = {};
    const asked = new FormData(form());
    for (const name of new Set(asked.keys())) {
      if (!belongs(name)) continue;
      const values = asked.getAll(name).filter((value) => value !== "" || name === "justification");
      if (values.length) said[name] = values.length > 1 ? values : values[0];
    }
    return said;
  }

  function fill(body) {
    for (const field of form().elements) {
      if (!field.name || !belongs(field.name) || field.type === "hidden" || field.type === "submit") continue;
      const said = [body[field.name] ?? []].flat();
      if (field.type === "radio" || field.type === "checkbox") field.checked = said.includes(field.value);
      else field.value = said.at(-1) ?? "";
    }
    const box = task().querySelector("[data-draft]");
    if (box) box.closest("details").open = box.value !== "";
  }

  // A task has arrived with the words that the server holds; those that it does not hold yet take their place.
  function restore() {
    drop();
    offer.hidden = true;
    if (!isOpen()) return;
    const { rev, other } = task().dataset;
    const there = Number(rev) || 0;
    over = [there];
    known = same(typed());
    const unsent = outbox.of(screen()).filter((entry) => entry.kind === "draft").map((entry) => JSON.parse(entry.body));
    const isNewest = newest && of === screen() && newest.version === version();
    const mine = [...unsent, ...(isNewest ? [newest] : [])].sort((a, b) => a.rev - b.rev).at(-1);
    if (!mine && other) return choose(there, JSON.parse(other)); // the answer has moved on since these were typed
    if (!mine || mine.rev === there) return;
    const before = mine.over || [];
    const isOverdue = mine.version !== version() || (mine.over ? !before.includes(there) : mine.rev < there);
    if (isOverdue) return mine.isKept || choose(there, mine); // kept: what is there came after it
    over = [...before, mine.rev, there];
    fill(mine.body);
  }

  // The server's word on a draft. Returns whether the words must stay on this computer: others are kept in their place.
  function answered(entry, status, text) {
    if (status >= 300) return false;
    const isHere = isOpen() && entry.screen === screen();
    const [kept, sent] = [JSON.parse(text), JSON.parse(entry.body)];
    const there = { rev: kept.rev, body: kept.body ?? sent.body };
    const isMine = over.includes(sent.rev); // else a page that is gone had left it behind
    if (kept.rev === sent.rev) {
      if (newest?.rev === sent.rev) newest.isKept = true;
      if (!isHere) return false;
      if (!isMine) return meet(there) && false;
      known = same(sent.body);
      tell(`${says.saysDraft} ${kept.saved}`);
      return false;
    }
    if (!kept.body || same(kept.body) === same(sent.body)) return false;
    if (!isHere) return true;
    if (isMine) return !over.includes(kept.rev) && meet(there); // else they are newer ones of this page
    if (over.includes(kept.rev) || !meet(there)) choose(kept.rev, sent);
    return true;
  }

  // Words that are on the server and did not grow out of the form's. Returns whether the form holds others.
  function meet(there) {
    const now = same(typed());
    if (now !== known && now !== same(there.body)) return choose(there.rev, there), true;
    accept(there.rev, there.body); // nothing was typed here since
    return false;
  }

  function accept(rev, body) {
    newest = null;
    over = [rev];
    offer.hidden = true;
    fill(body);
    redraw();
    known = same(typed());
  }

  // there: of the draft on the server. other: the draft whose words do not stand in the form.
  function choose(there, { rev, body }) {
    const texts = [...form().elements].filter((one) => one.matches("textarea, input[type=text]") && belongs(one.name));
    const words = texts.flatMap((one) => [body[one.name] ?? []].flat()).filter(Boolean);
    offer.querySelector("[data-words]").textContent = words.join("\n\n") || says.saysMarks;
    offer.querySelector("[data-keep]").onclick = () => settle([there, rev]);
    offer.querySelector("[data-take]").onclick = () => settle([there, rev], body);
    offer.hidden = false;
  }

  function settle(revs, body = null) {
    offer.hidden = true;
    over = [...over.slice(-GROWN), ...revs];
    if (body) fill(body);
    if (body) redraw();
    save();
  }

  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && flush());
  return { touched, drop, flush, stay, restore, answered, revs: () => over.join(",") };
}

// The database keeps no order of names.
const same = (body) => JSON.stringify(Object.entries(body).sort());
