import { PgError } from '../postgres/sqlstate.ts';

/** One character, or one of any, or any number of them. */
type Part = { readonly character: string } | 'one' | 'many';

/**
 * LIKE as Postgres has it, over characters: https://www.postgresql.org/docs/current/functions-matching.html#FUNCTIONS-LIKE
 * 22025 where the pattern ends in a backslash. Matching takes at most the product of the two lengths.
 */
export function likePattern(pattern: string): (text: string) => boolean {
  const parts: Part[] = [];
  const characters = Array.from(pattern);
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === '%') {
      if (parts.at(-1) !== 'many') parts.push('many');
    } else if (character === '_') parts.push('one');
    else if (character !== '\\') parts.push({ character });
    else {
      const escaped = characters[++at];
      if (escaped === undefined) {
        throw new PgError('invalid_escape_sequence', 'LIKE pattern must not end with escape character');
      }
      parts.push({ character: escaped });
    }
  }
  return (text) => matches(parts, Array.from(text));
}

/** Only the last `%` is ever tried again: what an earlier one took more, the last could have taken too. */
function matches(parts: readonly Part[], text: readonly string[]): boolean {
  let at = 0;
  let part = 0;
  let retry: { part: number; at: number } | null = null;
  while (at < text.length) {
    const wanted = parts[part];
    if (wanted === 'many') {
      retry = { part: ++part, at };
    } else if (wanted === 'one' || wanted?.character === text[at]) {
      part++;
      at++;
    } else if (retry !== null) {
      part = retry.part;
      at = ++retry.at;
    } else return false;
  }
  while (parts[part] === 'many') part++;
  return part === parts.length;
}
