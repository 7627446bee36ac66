// What was said and is not on the server yet. An entry is kept in this browser before it is sent, stays until the
// server has answered it, and is sent again under the same key: the server keeps it once, however often it arrives.
// One that the server fails at again and again is set back: it stays, and the others are sent before it.
//
// Each entry is an item of the browser's storage of its own and belongs to one page, which alone sends it: two tabs
// never overwrite each other's. What a page that is gone has left behind belongs to the next one that looks.
const LONGEST_WAIT = 15000;
const FAILURES = 5; // of the server at one entry, before it is set back
const PATIENCE = 20000;
const HEIRS_FIRST = 2000; // what a page leaves behind goes to the page that a reload puts in its place, if there is one
const SURELY_SENT = 3 * 60 * 1000; // by a page that lives and is online

// headers: say whose entries these are, since whoever signs in meanwhile sends the same cookie.
export function openOutbox(name, headers, { answered, kept, signedOut, changed }) {
  const watched = new Set(); // other pages with entries
  let page = newId();
  let entries = []; // of this page
  let busy = false;
  let again = 0;
  let tries = 0;

  function write(entry) {
    entry.page = page;
    try {
      localStorage.setItem(`${name}/${entry.id}`, JSON.stringify(entry));
    } catch {
      // full or forbidden: the entry lives as long as this page does
    }
  }

  function add(entry) {
    entries = inOrder([...entries, entry]);
    write(entry);
  }

  function remove(gone) {
    entries = entries.filter((one) => one.id !== gone.id);
    localStorage.removeItem(`${name}/${gone.id}`);
  }

  // Changes that the server has refused to take or could not be asked about (what is on its way is not counted), and
  // answers that it fails at.
  function tell() {
    const failing = entries.filter((entry) => entry.kind === "answer" && isSetBack(entry));
    const waiting = entries.filter((entry) => entry.tries > 0 && !entry.isHeld && !failing.includes(entry));
    changed(waiting.reduce((sum, entry) => sum + entry.changes, 0), failing.length);
  }

  function put(entry) {
    const isLate = entry.kind !== "draft";
    const goes = (one) => isReplaced(one, entry) || (isLate && one.screen === entry.screen && one.kind === "draft");
    const old = entries.filter(goes);
    old.forEach(remove);
    const changes = old.reduce((sum, one) => sum + one.changes, 1); // what the answer says was changed as often as that
    add({ ...entry, id: newId(), tries: Math.max(0, ...old.map((one) => one.tries)), changes, failures: 0 });
    tell();
    send();
  }

  async function send() {
    const entry = entries.find((one) => !one.isHeld);
    if (busy || !entry) return;
    busy = true;
    clearTimeout(again);
    const outcome = await attempt(entry, headers);
    busy = false;
    const isCurrent = entries.some((one) => one.id === entry.id); // no newer one has taken its place meanwhile
    if (outcome.wait !== undefined) {
      entry.tries += 1;
      tries += 1;
      if (outcome.isFailure) entry.failures = (entry.failures || 0) + 1; // at this entry: once is chance
      if (isCurrent) write(entry);
      if (isCurrent && isSetBack(entry)) entries = inOrder([...entries.filter((one) => one !== entry), entry]);
      tell();
      kept(entry);
      if (outcome.isSignedOut) signedOut();
      if (outcome.isFailure && isSetBack(entry) && !entries.every(isSetBack)) {
        tries = 0; // what the server does with the others is not known yet
        return send();
      }
      again = setTimeout(send, outcome.wait || Math.min(LONGEST_WAIT, 500 * 2 ** tries));
      return;
    }
    tries = 0;
    if (isCurrent) remove(entry);
    tell();
    if (isCurrent && answered(entry, outcome.status, outcome.text)) add({ ...entry, tries: 0, isHeld: true });
    send();
  }

  // ---- other pages -------------------------------------------------------------------------------------------------

  function live() {
    page = newId();
    entries.forEach(write);
    navigator.locks?.request(`${name}/${page}`, () => new Promise(() => {})).catch(() => {});
  }

  function watch(isFirst = false) {
    for (const { page: other } of stored(name)) {
      if (other === page || watched.has(other)) continue;
      watched.add(other);
      const inherit = () => {
        watched.delete(other);
        takeOver(stored(name).filter((entry) => entry.page === other));
      };
      whenGone(`${name}/${other}`, isFirst, () => void (isFirst ? inherit() : setTimeout(inherit, HEIRS_FIRST)));
    }
  }

  function takeOver(left) {
    for (const entry of left) if (!entries.some((one) => one.id === entry.id)) add({ ...entry, isHeld: false });
    tell();
    send();
  }

  addEventListener("pageshow", (event) => event.persisted && live()); // what holds a lock ends when a page is put away
  addEventListener("storage", (event) => event.key?.startsWith(`${name}/`) && watch());
  addEventListener("online", send);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && send());
  addEventListener("focus", send);
  live();
  takeOver(storedAsList(name));
  watch(true);
  return { put, send, of: (screen) => everything().filter((entry) => entry.screen === screen) };

  function everything() {
    return [...entries, ...stored(name).filter((entry) => !entries.some((one) => one.id === entry.id))];
  }
}

const newId = () => `${Date.now()}.${Math.random()}`;
const isSetBack = (entry) => entry.failures >= FAILURES;
// A draft takes the place of those that its words grew out of: others were taken over from another page.
const isReplaced = (old, by) => old.url === by.url && (!old.rev || !by.over || by.over.includes(old.rev));
const inOrder = (entries) => [...entries.filter((one) => !isSetBack(one)), ...entries.filter(isSetBack)];

// A page holds a lock as long as it lives. Where browsers offer none (plain http), nobody knows who lives: what is
// found on arrival is taken over at once, and what appears later when its own page must have sent it. That may send an
// entry twice, which the server keeps once.
function whenGone(lock, isFirst, work) {
  if (navigator.locks) navigator.locks.request(lock, work).catch(() => {});
  else setTimeout(work, isFirst ? 0 : SURELY_SENT);
}

async function attempt(entry, headers) {
  try {
    const response = await fetch(entry.url, {
      method: "POST",
      headers: { ...headers, "Content-Type": entry.type },
      body: entry.body,
      signal: AbortSignal.timeout(PATIENCE),
    });
    const { status } = response;
    if (status === 401) return { wait: 3000, isSignedOut: true };
    const later = response.headers.get("Retry-After");
    if (status >= 500 || status === 429) return { wait: 1000 * Number(later || 0), isFailure: status >= 500 && !later };
    if (!response.headers.get("X-Request-Id")) return { wait: 0 }; // a proxy's word or a portal's, not the server's
    const text = await response.text();
    return text ? { status, text } : { wait: 0 }; // a line that is cut among the headers looks like an empty answer
  } catch {
    return { wait: 0 }; // no network, no server, or an answer cut short
  }
}

// All pages' entries, in the order in which they were made.
function stored(name) {
  const items = Object.keys(localStorage).filter((item) => item.startsWith(`${name}/`));
  return items.sort().flatMap((item) => parsed(localStorage.getItem(item)) || []);
}

// What pages before this one kept in one item for all tabs.
function storedAsList(name) {
  const entries = parsed(localStorage.getItem(name)) || [];
  localStorage.removeItem(name);
  return entries;
}

function parsed(item) {
  try {
    return JSON.parse(item);
  } catch {
    return null;
  }
}
