// What changed between two texts, word by word (Myers 1986; where nearly all of it is different, all of it changed).
const ONE_SIGN = "\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7af"; // scripts without spaces: a sign is a word
const TOKEN = new RegExp(`\\s+|[${ONE_SIGN}]|(?:(?![${ONE_SIGN}])[\\p{L}\\p{M}\\p{N}_])+|.`, "gsu");
const WORD = /[\p{L}\p{N}]/u;
const MOST_STEPS = 2000; // words that went or came; with more the texts have too little in common

// before, after: texts. → [{ kind: "same" | "out" | "in", text, words }] in reading order, what went before what came.
export function changes(before, after) {
  const [old, now] = [before.match(TOKEN) || [], after.match(TOKEN) || []];
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  const pieces = walked(old.slice(head, old.length - tail), now.slice(head, now.length - tail));
  const same = (tokens) => tokens.map((token) => ["same", token]);
  return joined([...same(old.slice(0, head)), ...pieces, ...same(old.slice(old.length - tail))]);
}

// The shortest way from `old` to `now`: reach[diagonal] is how far in `old` each number of steps gets.
function walked(old, now) {
  const most = Math.min(MOST_STEPS, old.length + now.length);
  const reach = new Int32Array(2 * most + 3);
  const zero = most + 1;
  const trail = [];
  for (let step = 0; step <= most; step += 1) {
    trail.push(reach.slice(zero - step - 1, zero + step + 2));
    for (let line = -step; line <= step; line += 2) {
      const isNew = line === -step || (line !== step && reach[zero + line - 1] < reach[zero + line + 1]);
      let x = isNew ? reach[zero + line + 1] : reach[zero + line - 1] + 1;
      while (x < old.length && x - line < now.length && old[x] === now[x - line]) x += 1;
      reach[zero + line] = x;
      if (x >= old.length && x - line >= now.length) return retraced(trail, old, now);
    }
  }
  return [...old.map((token) => ["out", token]), ...now.map((token) => ["in", token])];
}

function retraced(trail, old, now) {
  const pieces = [];
  let [x, y] = [old.length, now.length];
  for (let step = trail.length - 1; step >= 0; step -= 1) {
    const reach = trail[step];
    const at = (line) => reach[line + step + 1];
    const line = x - y;
    const isNew = line === -step || (line !== step && at(line - 1) < at(line + 1));
    const from = isNew ? line + 1 : line - 1;
    const start = step === 0 ? 0 : isNew ? at(from) : at(from) + 1;
    while (x > start && y > start - line) {
      x -= 1;
      y -= 1;
      pieces.push(["same", old[x]]);
    }
    if (step === 0) break;
    if (isNew) pieces.push(["in", now[(y -= 1)]]);
    else pieces.push(["out", old[(x -= 1)]]);
  }
  return pieces.reverse();
}

// Neighbours of one kind become one piece; space between two changes belongs to both, so that a sentence that is new
// reads as one.
function joined(pieces) {
  const runs = [];
  let [out, fresh] = [[], []];
  const close = () => {
    if (out.length) runs.push(run("out", out));
    if (fresh.length) runs.push(run("in", fresh));
    [out, fresh] = [[], []];
  };
  let same = [];
  const keep = () => {
    if (same.length) runs.push(run("same", same));
    same = [];
  };
  pieces.forEach(([kind, token], n) => {
    const next = pieces[n + 1]?.[0];
    const isGap = kind === "same" && !token.trim() && out.length && fresh.length && next && next !== "same";
    if (isGap) return out.push(token), fresh.push(token);
    if (kind === "same") return close(), same.push(token);
    keep();
    (kind === "out" ? out : fresh).push(token);
  });
  close();
  keep();
  return runs;
}

const run = (kind, tokens) => ({ kind, text: tokens.join(""), words: tokens.filter((token) => WORD.test(token)).length });

// Show `runs` in `place` as text with marks; nothing of it is ever read as HTML.
export function draw(place, runs) {
  const names = { in: "ins", out: "del", same: "span" };
  place.replaceChildren(
    ...runs.map(({ kind, text }) => Object.assign(document.createElement(names[kind]), { textContent: text })),
  );
}
