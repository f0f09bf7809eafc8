/** Longer words are no misspelling of anything of ours. */
const MAX_WORD = 40;

/** The candidate that `word` most likely misspells: at most a third of its letters differ. Null where none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  if (word.length > MAX_WORD) return null;
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Shorter words, `on` or `id`, say nothing. */
const MIN_WORD = 3;

/**
 * At most so many candidates that have words in common with `name`, the likest first: a word counts the more the fewer candidates
 * have it. Words stand between `_` and the like.
 */
export function sharingWords(name: string, candidates: readonly string[], most: number): readonly string[] {
  if (name.length > MAX_WORD) return [];
  const having = new Map(wordsOf(name).map((word) => [word, candidates.filter((one) => wordsOf(one).includes(word))]));
  const likeness = (candidate: string): number =>
    [...having.values()].reduce((sum, those) => sum + (those.includes(candidate) ? 1 / those.length : 0), 0);
  return candidates
    .map((candidate) => [candidate, likeness(candidate)] as const)
    .filter(([, likely]) => likely > 0)
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([candidate]) => candidate);
}

function wordsOf(text: string): readonly string[] {
  const words = text.toLowerCase().split(/[^a-z]+/);
  return words.filter((word) => word.length >= MIN_WORD);
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2]! + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
