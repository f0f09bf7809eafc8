/**
 * The character classes of Postgres's scanner (`src/backend/parser/scan.l`), over UTF-16 code units.
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html
 * The scanner sees bytes and takes each byte above 127 for a letter, so every unit above 127 is a letter here.
 */

const WORD_START = 1;
const DIGIT = 2;
const DOLLAR = 4;
const SPACE = 8;
const OPERATOR = 16;

const CLASS = new Uint8Array(128);
const mark = (characters: string, bit: number): void => {
  for (const character of characters) CLASS[character.charCodeAt(0)]! |= bit;
};
mark('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_', WORD_START);
mark('0123456789', DIGIT);
mark('$', DOLLAR);
mark(' \t\n\r\f\v', SPACE);
mark('~!@#^&|`?+-*/%<>=', OPERATOR);

/** `code` is a UTF-16 unit, or NaN past the end of a string (which belongs to no class). */
function isIn(code: number, mask: number): boolean {
  return code < 128 ? (CLASS[code]! & mask) !== 0 : code >= 128 && (mask & WORD_START) !== 0;
}

/** May begin an identifier. */
export function isWordStart(code: number): boolean {
  return isIn(code, WORD_START);
}

/** May stand inside an identifier: letters, digits, `_` and `$`. */
export function isWordPart(code: number): boolean {
  return isIn(code, WORD_START | DIGIT | DOLLAR);
}

/** May stand inside a dollar quote's tag: as in an identifier, but no `$`. */
export function isTagPart(code: number): boolean {
  return isIn(code, WORD_START | DIGIT);
}

export function isDigit(code: number): boolean {
  return isIn(code, DIGIT);
}

export function isSpace(code: number): boolean {
  return isIn(code, SPACE);
}

/** Ends a `--` comment, and makes two string constants one. */
export function isNewline(code: number): boolean {
  return code === 10 || code === 13;
}

export function isOperatorPart(code: number): boolean {
  return isIn(code, OPERATOR);
}
