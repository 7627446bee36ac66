// What was said and is not on the server yet. An entry is kept in this browser before it is sent, stays until the
// server has answered it, and is sent again under the same key: the server keeps it once, however often it arrives.
// One that the server fails at again and again is set back: it stays, and the others are sent before it.
const LONGEST_WAIT = 15000;
const FAILURES = 5; // of the server at one entry, before it is set back
const PATIENCE = 20000;

export function openOutbox(name, { answered, kept, signedOut, changed }) {
  let entries = read(name);
  let busy = false;
  let again = 0;
  let tries = 0;

  function write() {
    try {
      localStorage.setItem(name, JSON.stringify(entries));
    } catch {
      // full or forbidden: the entry lives as long as this page does
    }
    tell();
  }

  // Changes that the server has refused to take or could not be asked about (what is on its way is not counted), and
  // answers that it fails at.
  function tell() {
    const failing = entries.filter((entry) => entry.kind === "answer" && isSetBack(entry));
    const waiting = entries.filter((entry) => entry.tries > 0 && !failing.includes(entry));
    changed(waiting.reduce((sum, entry) => sum + entry.changes, 0), failing.length);
  }

  function put(entry) {
    const old = entries.find((one) => one.url === entry.url);
    const isLate = entry.kind !== "draft";
    entries = entries.filter((one) => one.url !== entry.url && !(isLate && one.screen === entry.screen && one.kind === "draft"));
    const id = `${Date.now()}.${Math.random()}`;
    entries.push({ ...entry, id, tries: old ? old.tries : 0, changes: (old ? old.changes : 0) + 1, failures: 0 });
    entries = inOrder(entries);
    write();
    send();
  }

  async function send() {
    if (busy || !entries.length) return;
    busy = true;
    clearTimeout(again);
    const entry = entries[0];
    const outcome = await attempt(entry);
    busy = false;
    if (outcome.wait !== undefined) {
      entry.tries += 1;
      tries += 1;
      if (outcome.isFailure) fail(entry);
      write();
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
    const isCurrent = entries.some((one) => one.id === entry.id);
    entries = entries.filter((one) => one.id !== entry.id);
    write();
    if (isCurrent) answered(entry, outcome.status, outcome.text);
    if (entries.length) send();
  }

  // The server failed at this entry itself. Once is chance; more often, and the others go first.
  function fail(entry) {
    entry.failures = (entry.failures || 0) + 1;
    if (!entries.includes(entry)) return; // a newer one has taken its place meanwhile
    if (isSetBack(entry)) entries = inOrder([...entries.filter((one) => one !== entry), entry]);
  }

  addEventListener("online", send);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && send());
  addEventListener("focus", send);
  tell();
  send();
  return { put, send, of: (screen) => entries.filter((entry) => entry.screen === screen) };
}

const isSetBack = (entry) => entry.failures >= FAILURES;
const inOrder = (entries) => [...entries.filter((one) => !isSetBack(one)), ...entries.filter(isSetBack)];

async function attempt(entry) {
  try {
    const response = await fetch(entry.url, {
      method: "POST",
      headers: { "HX-Request": "true", "Content-Type": entry.type },
      body: entry.body,
      signal: AbortSignal.timeout(PATIENCE),
    });
    const { status } = response;
    if (status === 401) return { wait: 3000, isSignedOut: true };
    const later = response.headers.get("Retry-After");
    if (status >= 500 || status === 429) return { wait: 1000 * Number(later || 0), isFailure: status >= 500 && !later };
    return { status, text: await response.text() };
  } catch {
    return { wait: 0 }; // no network, no server, or an answer cut short
  }
}

function read(name) {
  try {
    return JSON.parse(localStorage.getItem(name)) || [];
  } catch {
    return [];
  }
}
