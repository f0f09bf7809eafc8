import { isSpace } from './characters.ts';
import { keywordOf } from './keyword.ts';
import { Lexer, type LexerSettings, type Token } from './lexer.ts';

/** A statement inside a longer text: UTF-16 offsets, `end` the first after it. */
export interface SourceSpan {
  readonly start: number;
  readonly end: number;
}

/**
 * The statements of a query string, empty ones left out. A span begins at the statement's first token and ends before
 * its semicolon, trailing white space left out; a comment at the end stays, since query tags are written there.
 *
 * As the server's grammar (and psql) has it, a semicolon ends a statement except inside parentheses (`CREATE RULE … DO
 * (…; …)`) and inside the body of `CREATE FUNCTION … BEGIN ATOMIC …; END`. Takes any text, in linear time.
 */
export function splitStatements(text: string, settings: LexerSettings): readonly SourceSpan[] {
  const spans: SourceSpan[] = [];
  const lexer = new Lexer(text, settings);
  const nesting = new Nesting();
  let start: number | null = null;
  for (;;) {
    const token = lexer.next();
    const ends = token.kind === 'end' || (isPunctuation(text, token, ';') && nesting.isOutermost);
    if (!ends) {
      start ??= token.start;
      nesting.take(text, token);
      continue;
    }
    if (start !== null) spans.push({ start, end: trimEnd(text, start, token.start) });
    if (token.kind === 'end') return spans;
    start = null;
    nesting.reset();
  }
}

function trimEnd(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && isSpace(text.charCodeAt(at - 1))) at--;
  return at;
}

function isPunctuation(text: string, token: Token, character: string): boolean {
  return token.kind === 'punctuation' && text[token.start] === character;
}

/** How deep in parentheses and in BEGIN ATOMIC bodies the statement stands. */
class Nesting {
  #parentheses = 0;
  #bodies = 0;
  /** The key words that the innermost statement begins with, as far as they spell CREATE OR REPLACE FUNCTION. */
  #head = '';
  #headEnded = false;
  #previous = '';

  get isOutermost(): boolean {
    return this.#parentheses === 0 && this.#bodies === 0;
  }

  reset(): void {
    this.#parentheses = 0;
    this.#bodies = 0;
    this.#beginStatement();
  }

  #beginStatement(): void {
    this.#head = '';
    this.#headEnded = false;
    this.#previous = ';';
  }

  take(text: string, token: Token): void {
    if (isPunctuation(text, token, '(')) this.#parentheses++;
    else if (isPunctuation(text, token, ')')) this.#parentheses = Math.max(0, this.#parentheses - 1);
    const word = keywordOf(text, token);
    if (this.#parentheses === 0) {
      if (isPunctuation(text, token, ';')) return this.#beginStatement();
      if (word === 'atomic' && this.#previous === 'begin' && ROUTINE_HEAD.test(this.#head)) {
        this.#bodies++;
        return this.#beginStatement();
      }
      // Each statement of a body ends in a semicolon, so only an END at the beginning of one ends the body: those of
      // CASE and those that are column labels stand elsewhere.
      if (word === 'end' && this.#previous === ';' && this.#bodies > 0) {
        this.#bodies--;
        // What is left of the statement around the body.
        this.#headEnded = true;
      }
    }
    this.#extendHead(word);
    this.#previous = word;
  }

  #extendHead(word: string): void {
    if (this.#headEnded) return;
    this.#head = this.#head === '' ? word : `${this.#head} ${word}`;
    this.#headEnded = !ROUTINE_HEAD_SO_FAR.has(this.#head);
  }
}

const ROUTINE_HEAD = /^create (or replace )?(function|procedure)$/;
/** The beginnings after which the head may go on. */
const ROUTINE_HEAD_SO_FAR: ReadonlySet<string> = new Set(['create', 'create or', 'create or replace']);
