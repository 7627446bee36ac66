// What was said and is not on the server yet. An entry is kept in this browser before it is sent, stays until the
// server has answered it, and is sent again under the same key: the server keeps it once, however often it arrives.
const LONGEST_WAIT = 15000;
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
    changed(unsaved());
  }

  // Changes that the server has refused to take or could not be asked about; what is on its way is not counted.
  function unsaved() {
    return entries.filter((entry) => entry.tries > 0).reduce((sum, entry) => sum + entry.changes, 0);
  }

  function put(entry) {
    const old = entries.find((one) => one.url === entry.url);
    const isLate = entry.kind !== "draft";
    entries = entries.filter((one) => one.url !== entry.url && !(isLate && one.screen === entry.screen && one.kind === "draft"));
    entries.push({ ...entry, id: `${Date.now()}.${Math.random()}`, tries: old ? old.tries : 0, changes: (old ? old.changes : 0) + 1 });
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
      write();
      kept(entry);
      if (outcome.isSignedOut) signedOut();
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

  addEventListener("online", send);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && send());
  addEventListener("focus", send);
  changed(unsaved());
  send();
  return { put, send, of: (screen) => entries.filter((entry) => entry.screen === screen) };
}

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
    if (status >= 500 || status === 429) return { wait: 1000 * Number(response.headers.get("Retry-After") || 0) };
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
