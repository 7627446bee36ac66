// Words that two texts share in the same order. Anchors first (words, else runs of words, that stand once in both, as in
// patience diff), then between them. What has no anchors is compared in full up to a bound, beyond it by its beginning
// and end alone, so that two texts of 2,000 words take less than a frame whatever they have in common.
const IN_FULL = 1_000_000; // pairs of words that are compared each with each
const RUNS = [1, 3]; // words

/** a, b: lists of words. → [[place in a, place in b]], both rising. */
export function sharedWords(a, b) {
  const found = [];
  const open = [[0, a.length, 0, b.length]];
  while (open.length) {
    const piece = open.pop();
    let [from, to, start, end] = piece;
    while (from < to && start < end && a[from] === b[start]) found.push([from++, start++]);
    while (from < to && start < end && a[to - 1] === b[end - 1]) found.push([--to, --end]);
    if (from === to || start === end) continue;
    const anchors = anchored(a, from, to, b, start, end);
    if (anchors.length) {
      let [x, y] = [from, start];
      for (const [n, m] of [...anchors, [to, end]]) {
        open.push([x, n, y, m]);
        if (n < to) found.push([n, m]);
        [x, y] = [n + 1, m + 1];
      }
    } else if ((to - from) * (end - start) <= IN_FULL) found.push(...longest(a, from, to, b, start, end));
  }
  return found.sort((one, other) => one[0] - other[0]);
}

function anchored(a, from, to, b, start, end) {
  for (const run of RUNS) {
    const anchors = rising(once(run, a, from, to, b, start, end));
    if (anchors.length) return anchors;
  }
  return [];
}

// Runs of words that stand exactly once in both pieces: [place in a, place in b] in the order of a.
function once(run, a, from, to, b, start, end) {
  const counted = new Map();
  const said = (words, n) => (run === 1 ? words[n] : words.slice(n, n + run).join(" "));
  for (let n = from; n <= to - run; n += 1) {
    const seen = counted.get(said(a, n));
    if (seen) seen.n = -1;
    else counted.set(said(a, n), { n, m: -1, times: 0 });
  }
  for (let m = start; m <= end - run; m += 1) {
    const seen = counted.get(said(b, m));
    if (seen) Object.assign(seen, { m, times: seen.times + 1 });
  }
  return [...counted.values()].filter(({ n, times }) => n >= 0 && times === 1).map(({ n, m }) => [n, m]);
}

// The longest run of pairs whose places in b rise as well (patience: each pair on the leftmost pile that it fits).
function rising(pairs) {
  const piles = [];
  for (const pair of pairs) {
    let [low, high] = [0, piles.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (piles[middle].pair[1] < pair[1]) low = middle + 1;
      else high = middle;
    }
    piles[low] = { pair, before: piles[low - 1] };
  }
  const run = [];
  for (let top = piles.at(-1); top; top = top.before) run.push(top.pair);
  return run.reverse();
}

// The longest common words of two short pieces, each compared with each.
function longest(a, from, to, b, start, end) {
  const [rows, width] = [to - from, end - start + 1];
  const best = new Uint16Array((rows + 1) * width);
  for (let n = rows - 1; n >= 0; n -= 1) {
    for (let m = width - 2; m >= 0; m -= 1) {
      const here = n * width + m;
      const same = a[from + n] === b[start + m];
      best[here] = same ? best[here + width + 1] + 1 : Math.max(best[here + width], best[here + 1]);
    }
  }
  const found = [];
  let [n, m] = [0, 0];
  while (n < rows && m < width - 1) {
    const here = n * width + m;
    if (a[from + n] === b[start + m]) found.push([from + n++, start + m++]);
    else if (best[here + width] >= best[here + 1]) n += 1;
    else m += 1;
  }
  return found;
}
