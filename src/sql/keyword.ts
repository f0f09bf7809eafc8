import type { Token } from './lexer.ts';

/** The longest key word that anything here looks for; a longer word need not be copied out of the text. */
const LONGEST = 'procedure'.length;

/** The key word that an unquoted word may be: its letters in lower case; empty for every other token. */
export function keywordOf(text: string, token: Token): string {
  if (token.kind !== 'word' || token.end - token.start > LONGEST) return '';
  const word = text.slice(token.start, token.end);
  // All ASCII, or toLowerCase would make a k of the Kelvin sign.
  return /^[A-Za-z]+$/.test(word) ? word.toLowerCase() : '';
}
