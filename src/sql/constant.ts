import type { PgError } from '../postgres/sqlstate.ts';
import { isNewline } from './characters.ts';
import type { Token } from './lexer.ts';

/** Raises the error of what stands at an offset of the text. */
export type Complain = (offset: number, message: string, hint?: string) => PgError;

/** What a well-formed quoted word spells: `""` is one quote. */
export function quotedWordValue(text: string, token: Token): string {
  return text.slice(token.start + 1, token.end - 1).replaceAll('""', '"');
}

/**
 * What a well-formed string constant spells: `'…'`, `E'…'` or `$tag$…$tag$`, with the parts of a continued one joined.
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-STRINGS-ESCAPE
 * Escapes that spell no text are errors, raised through `complain`.
 */
export function stringValue(text: string, token: Token, complain: Complain): string {
  if (token.kind === 'dollar-string') {
    const tagEnd = text.indexOf('$', token.start + 1) + 1;
    return text.slice(tagEnd, token.end - (tagEnd - token.start));
  }
  const escapes = token.kind === 'escape-string';
  const open = text.indexOf("'", token.start);
  const value = new Value(complain);
  let at = open + 1;
  while (at < token.end) {
    const character = text[at]!;
    if (character === "'") {
      if (text[at + 1] === "'" && at + 1 < token.end) {
        value.text("'", at);
        at += 2;
      } else {
        value.partEnd(at);
        at = nextPart(text, at + 1, token.end);
      }
    } else if (character === '\\' && escapes) {
      at = readEscape(text, at, value, complain);
    } else {
      const run = at;
      while (at < token.end && text[at] !== "'" && text[at] !== '\\') at++;
      if (at === run) at++;
      value.text(text.slice(run, at), run);
    }
  }
  return value.end(token.end);
}

/** Into the next part of a continued constant, or to its end. */
function nextPart(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && text[at] !== "'") {
    if (text[at] === '-') while (at < end && !isNewline(text.charCodeAt(at))) at++;
    else at++;
  }
  return Math.min(end, at + 1);
}

const SINGLE: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };
const OCTAL = /[0-7]{1,3}/y;
const HEXADECIMAL = /x([0-9A-Fa-f]{1,2})/y;
const UNICODE = /u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})/y;

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** Reads the escape at the backslash `at`; returns the offset behind it. */
function readEscape(text: string, at: number, value: Value, complain: Complain): number {
  const octal = match(OCTAL, text, at + 1);
  if (octal) {
    value.byte(parseInt(octal[0], 8) & 0xff, at);
    return at + 1 + octal[0].length;
  }
  const hexadecimal = match(HEXADECIMAL, text, at + 1);
  if (hexadecimal) {
    value.byte(parseInt(hexadecimal[1]!, 16), at);
    return at + 1 + hexadecimal[0].length;
  }
  const unicode = match(UNICODE, text, at + 1);
  if (unicode) {
    value.codePoint(parseInt(unicode[1] ?? unicode[2]!, 16), at);
    return at + 1 + unicode[0].length;
  }
  const character = text[at + 1]!;
  if (character === 'u' || character === 'U') {
    throw complain(at, 'invalid Unicode escape', 'Unicode escapes must be \\uXXXX or \\UXXXXXXXX.');
  }
  value.text(SINGLE[character] ?? character, at);
  return at + 2;
}

/** A string in the making, out of text, bytes of UTF-8 and halves of surrogate pairs. */
class Value {
  readonly #complain: Complain;
  readonly #parts: string[] = [];
  #bytes: number[] = [];
  #bytesOffset = 0;
  #highSurrogate: number | null = null;

  constructor(complain: Complain) {
    this.#complain = complain;
  }

  text(text: string, offset: number): void {
    this.#settle(offset);
    this.#parts.push(text);
  }

  byte(byte: number, offset: number): void {
    this.#noHalfPair(offset);
    if (byte === 0) throw this.#complain(offset, 'invalid byte sequence for encoding "UTF8": 0x00');
    if (this.#bytes.length === 0) this.#bytesOffset = offset;
    this.#bytes.push(byte);
  }

  codePoint(code: number, offset: number): void {
    const low = code >= 0xdc00 && code <= 0xdfff;
    if (this.#highSurrogate !== null && low) {
      this.#parts.push(String.fromCharCode(this.#highSurrogate, code));
      this.#highSurrogate = null;
      return;
    }
    this.#settle(offset);
    if (low) throw this.#complain(offset, 'invalid Unicode surrogate pair');
    if (code === 0 || code > 0x10ffff) throw this.#complain(offset, 'invalid Unicode escape value');
    if (code >= 0xd800 && code <= 0xdbff) this.#highSurrogate = code;
    else this.#parts.push(String.fromCodePoint(code));
  }

  /** A surrogate pair must stand in one part; the bytes of a character may be spread over several. */
  partEnd(offset: number): void {
    this.#noHalfPair(offset);
  }

  end(offset: number): string {
    this.#settle(offset);
    return this.#parts.join('');
  }

  #noHalfPair(offset: number): void {
    if (this.#highSurrogate !== null) throw this.#complain(offset, 'invalid Unicode surrogate pair');
  }

  #settle(offset: number): void {
    this.#noHalfPair(offset);
    if (this.#bytes.length === 0) return;
    try {
      this.#parts.push(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(this.#bytes)));
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw this.#complain(this.#bytesOffset, 'invalid byte sequence for encoding "UTF8"');
    }
    this.#bytes = [];
  }
}
