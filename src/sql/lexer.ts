import { isDigit, isNewline, isOperatorPart, isSpace, isTagPart, isWordPart, isWordStart } from './characters.ts';

/*
  The lexical structure of SQL exactly as Postgres's scanner has it (src/backend/parser/scan.l, PostgreSQL 18):
  https://www.postgresql.org/docs/current/sql-syntax-lexical.html

  word       letter (letter | digit | '_' | '$')*           quoted     "…" with "" for one quote
  string     '…' with '' for one quote                      escape     E'…', and '…' where backslashes escape
  unicode    U&'…' and U&"…"                                dollar     $tag$ … $tag$
  bits       B'…' and X'…'                                  national   N'…'
  number     42  4.2  .5  4e2  0x2A  0o52  0b101  1_000      parameter  $1
  operator   the longest run of operator characters, ended before -- and before slash-star; never ending in + or - unless
             it holds one of ~ ! @ # ^ & | ` ? %
  Constants of one kind that only white space with a newline (and -- comments) separates are one constant.
  White space and comments separate; block comments nest.
*/

export interface LexerSettings {
  /** The upstream's `standard_conforming_strings`: off makes a backslash in `'…'` an escape. */
  readonly standardConformingStrings: boolean;
}

export type TokenKind =
  | 'word'
  | 'quoted-word'
  | 'unicode-word'
  | 'string'
  | 'escape-string'
  | 'unicode-string'
  | 'national-string'
  | 'bit-string'
  | 'dollar-string'
  | 'number'
  | 'parameter'
  | 'operator'
  | 'punctuation'
  /** Only a block comment that does not end is a token. */
  | 'comment'
  /** A character that begins nothing in SQL. */
  | 'other'
  | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** UTF-16 offsets into the text; `end` is the first after the token. */
  readonly start: number;
  readonly end: number;
  /** True where the text ends inside the token, and for a number or parameter with letters stuck to it. */
  readonly malformed: boolean;
}

const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DOLLAR = 0x24;
const SLASH = 0x2f;
const STAR = 0x2a;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const COLON = 0x3a;
const EQUALS = 0x3d;
const AMPERSAND = 0x26;
const UNDERSCORE = 0x5f;
const ZERO = 0x30;

const PREFIXED_STRING: Readonly<Record<string, TokenKind>> = {
  b: 'bit-string',
  x: 'bit-string',
  e: 'escape-string',
  n: 'national-string',
};
const PUNCTUATION = ',()[].;:';
/** An operator with one of these may end in + or -. */
const UNUSUAL_OPERATOR = /[~!@#^&|`?%]/;

/**
 * The tokens of `text` from `start` to `end`, one at a time. Takes any text without failing, in time linear in its
 * length.
 */
export class Lexer {
  readonly #text: string;
  readonly #settings: LexerSettings;
  readonly #end: number;
  #at: number;
  /** Up to here only + and - follow, each an operator of its own: without it a run of n plus signs costs n². */
  #signsEnd = 0;

  constructor(text: string, settings: LexerSettings, start = 0, end = text.length) {
    this.#text = text;
    this.#settings = settings;
    this.#at = start;
    this.#end = end;
  }

  /** The next token; kind `end` at the end, however often it is asked for. */
  next(): Token {
    const start = this.#skipSeparators(this.#at);
    const token = this.#read(start);
    this.#at = token.end;
    return token;
  }

  #code(at: number): number {
    return at < this.#end ? this.#text.charCodeAt(at) : NaN;
  }

  #token(kind: TokenKind, start: number, end: number, malformed = false): Token {
    return { kind, start, end, malformed };
  }

  #read(start: number): Token {
    if (start >= this.#end) return this.#token('end', start, start);
    const code = this.#code(start);
    if (isWordStart(code)) return this.#readWord(start, code);
    if (isDigit(code)) return this.#readNumber(start);
    switch (code) {
      case QUOTE:
        return this.#readString(start, start, this.#settings.standardConformingStrings ? 'string' : 'escape-string');
      case DOUBLE_QUOTE:
        return this.#readQuotedWord(start, start, 'quoted-word');
      case DOLLAR:
        return this.#readDollar(start);
      case DOT:
        if (isDigit(this.#code(start + 1))) return this.#readNumber(start);
        break;
      case SLASH:
        // `#skipSeparators` stops before a comment only when it has no end.
        if (this.#code(start + 1) === STAR) return this.#token('comment', start, this.#end, true);
        break;
      default:
    }
    if (isOperatorPart(code)) return this.#readOperator(start);
    return this.#readPunctuation(start, code);
  }

  #skipSeparators(start: number): number {
    let at = start;
    for (;;) {
      const code = this.#code(at);
      if (isSpace(code)) at++;
      else if (code === MINUS && this.#code(at + 1) === MINUS) at = this.#lineEnd(at);
      else if (code === SLASH && this.#code(at + 1) === STAR) {
        const after = this.#blockCommentEnd(at);
        if (after === null) return at;
        at = after;
      } else return at;
    }
  }

  #lineEnd(start: number): number {
    let at = start;
    while (at < this.#end && !isNewline(this.#code(at))) at++;
    return at;
  }

  /** Null where the text ends inside the comment. */
  #blockCommentEnd(start: number): number | null {
    let depth = 1;
    let at = start + 2;
    while (at < this.#end) {
      const code = this.#code(at);
      const next = this.#code(at + 1);
      if (code === SLASH && next === STAR) {
        depth++;
        at += 2;
      } else if (code === STAR && next === SLASH) {
        depth--;
        at += 2;
        if (depth === 0) return at;
      } else at++;
    }
    return null;
  }

  #wordEnd(start: number): number {
    let at = start;
    while (isWordPart(this.#code(at))) at++;
    return at;
  }

  #readWord(start: number, code: number): Token {
    const letter = String.fromCharCode(code | 0x20);
    const next = this.#code(start + 1);
    const prefixed = code < 128 ? PREFIXED_STRING[letter] : undefined;
    if (next === QUOTE && prefixed !== undefined) return this.#readString(start, start + 1, prefixed);
    if (next === AMPERSAND && code < 128 && letter === 'u') {
      const quote = this.#code(start + 2);
      if (quote === QUOTE) return this.#readString(start, start + 2, 'unicode-string');
      if (quote === DOUBLE_QUOTE) return this.#readQuotedWord(start, start + 2, 'unicode-word');
    }
    return this.#token('word', start, this.#wordEnd(start));
  }

  #readQuotedWord(start: number, quote: number, kind: TokenKind): Token {
    for (let at = quote + 1; at < this.#end; at++) {
      if (this.#code(at) !== DOUBLE_QUOTE) continue;
      if (this.#code(at + 1) !== DOUBLE_QUOTE) return this.#token(kind, start, at + 1);
      at++;
    }
    return this.#token(kind, start, this.#end, true);
  }

  #readString(start: number, quote: number, kind: TokenKind): Token {
    // N'…' is the type name NCHAR before an ordinary constant.
    const national = kind === 'national-string';
    const escapes = kind === 'escape-string' || (national && !this.#settings.standardConformingStrings);
    let at = quote + 1;
    while (at < this.#end) {
      const code = this.#code(at);
      if (code === BACKSLASH && escapes) at += 2;
      else if (code !== QUOTE) at++;
      else if (this.#code(at + 1) === QUOTE) at += 2;
      else {
        const continued = this.#continuation(at + 1);
        if (continued === null) return this.#token(kind, start, at + 1);
        at = continued;
      }
    }
    return this.#token(kind, start, this.#end, true);
  }

  /** Just past the quote that goes on with the constant which ended at `start`, or null. */
  #continuation(start: number): number | null {
    let at = start;
    let newline = false;
    for (;;) {
      const code = this.#code(at);
      if (isSpace(code)) {
        newline ||= isNewline(code);
        at++;
      } else if (code === MINUS && this.#code(at + 1) === MINUS) {
        at = this.#lineEnd(at);
      } else return code === QUOTE && newline ? at + 1 : null;
    }
  }

  #readDollar(start: number): Token {
    let at = start + 1;
    if (isDigit(this.#code(at))) {
      while (isDigit(this.#code(at))) at++;
      const end = isWordStart(this.#code(at)) ? this.#wordEnd(at) : at;
      return this.#token('parameter', start, end, end > at);
    }
    if (isWordStart(this.#code(at))) while (isTagPart(this.#code(at))) at++;
    if (this.#code(at) !== DOLLAR) return this.#token('other', start, start + 1);
    const delimiter = this.#text.slice(start, at + 1);
    const close = this.#text.indexOf(delimiter, at + 1);
    const end = close + delimiter.length;
    if (close === -1 || end > this.#end) return this.#token('dollar-string', start, this.#end, true);
    return this.#token('dollar-string', start, end);
  }

  #readNumber(start: number): Token {
    let at = this.#radixEnd(start);
    if (at === null) {
      at = this.#digitsEnd(start, isDigit);
      // 1..10 is 1, .., 10 (a range in PL/pgSQL), not 1. and .10.
      if (this.#code(at) === DOT && this.#code(at + 1) !== DOT) at = this.#digitsEnd(at + 1, isDigit);
      at = this.#exponentEnd(at);
    }
    const end = isWordStart(this.#code(at)) ? this.#wordEnd(at) : at;
    return this.#token('number', start, end, end > at);
  }

  /** Digits with single underscores between them. */
  #digitsEnd(start: number, isOne: (code: number) => boolean): number {
    let at = start;
    if (!isOne(this.#code(at))) return at;
    at++;
    for (;;) {
      if (isOne(this.#code(at))) at++;
      else if (this.#code(at) === UNDERSCORE && isOne(this.#code(at + 1))) at += 2;
      else return at;
    }
  }

  #radixEnd(start: number): number | null {
    if (this.#code(start) !== ZERO) return null;
    const isOne = RADIX_DIGIT[this.#text.charAt(start + 1).toLowerCase()];
    if (!isOne) return null;
    const first = this.#code(start + 2) === UNDERSCORE ? start + 3 : start + 2;
    const end = this.#digitsEnd(first, isOne);
    return end === first ? null : end;
  }

  #exponentEnd(start: number): number {
    if ((this.#code(start) | 0x20) !== 0x65) return start;
    const sign = this.#code(start + 1);
    const first = sign === PLUS || sign === MINUS ? start + 2 : start + 1;
    const end = this.#digitsEnd(first, isDigit);
    return end === first ? start : end;
  }

  #readOperator(start: number): Token {
    if (start < this.#signsEnd) return this.#token('operator', start, start + 1);
    let end = start + 1;
    while (isOperatorPart(this.#code(end)) && !this.#commentBegins(end)) end++;
    const run = end;
    if (!UNUSUAL_OPERATOR.test(this.#text.slice(start, end))) {
      while (end > start + 1 && (this.#code(end - 1) === PLUS || this.#code(end - 1) === MINUS)) end--;
    }
    if (end < run) this.#signsEnd = run;
    return this.#token('operator', start, end);
  }

  #commentBegins(at: number): boolean {
    const code = this.#code(at);
    const next = this.#code(at + 1);
    return (code === MINUS && next === MINUS) || (code === SLASH && next === STAR);
  }

  #readPunctuation(start: number, code: number): Token {
    const next = this.#code(start + 1);
    const pair = (code === COLON && (next === COLON || next === EQUALS)) || (code === DOT && next === DOT);
    if (pair) return this.#token('operator', start, start + 2);
    const known = PUNCTUATION.includes(this.#text.charAt(start));
    return this.#token(known ? 'punctuation' : 'other', start, start + 1);
  }
}

const RADIX_DIGIT: Readonly<Record<string, (code: number) => boolean>> = {
  x: (code) => isDigit(code) || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x66),
  o: (code) => code >= ZERO && code <= 0x37,
  b: (code) => code === ZERO || code === 0x31,
};
