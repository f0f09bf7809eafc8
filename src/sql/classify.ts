import { isWordPart } from './characters.ts';
import { keywordOf } from './keyword.ts';
import { Lexer, type LexerSettings, type Token } from './lexer.ts';
import type { SourceSpan } from './split.ts';

/*
  Which statements are ours, decided by their first tokens. None of these beginnings is valid in Postgres:

    CREATE [OR REPLACE] object        ALTER | DROP object               SHOW object word       SHOW CREATE object
    EXPLAIN [(…)] [ANALYZE] [VERBOSE] CREATE [OR REPLACE] object        COMMENT ON object
    CHECK | TEST | PEEK | BACKFILL | CANCEL BACKFILL | REPLAY | RETRY | DISCARD | PAUSE | RESUME object

    object  CDC | CHANGE        as an unquoted word

  `SHOW cdc` and `SHOW cdc.x` are a setting's value in Postgres, so SHOW is ours only with another word behind.
*/

const VERBS: ReadonlySet<string> = new Set([
  'alter',
  'backfill',
  'check',
  'discard',
  'drop',
  'pause',
  'peek',
  'replay',
  'resume',
  'retry',
  'test',
]);

/**
 * Whether the statement is one of walhook's, and so must never reach the upstream. Looks at its first tokens only, and
 * never fails. True of more than the parser knows: the rest gets its syntax error from us.
 */
export function isOurs(text: string, span: SourceSpan, settings: LexerSettings): boolean {
  const head = new Head(text, new Lexer(text, settings, span.start, span.end));
  const verb = head.take();
  if (VERBS.has(verb)) return isObject(head.take());
  switch (verb) {
    case 'create':
      return creates(head);
    case 'explain':
      return explains(head);
    case 'show':
      return shows(head);
    case 'cancel':
      return head.take() === 'backfill' && isObject(head.take());
    case 'comment':
      return head.take() === 'on' && isObject(head.take());
    default:
      return false;
  }
}

function isObject(word: string): boolean {
  return word === 'cdc' || word === 'change';
}

/** What follows CREATE. */
function creates(head: Head): boolean {
  const word = head.take();
  return isObject(word === 'or' && head.take() === 'replace' ? head.take() : word);
}

/** What follows SHOW. */
function shows(head: Head): boolean {
  const word = head.take();
  if (word === 'create') return isObject(head.take());
  return isObject(word) && head.token().kind === 'word';
}

/** What follows EXPLAIN. */
function explains(head: Head): boolean {
  let word = head.take();
  if (word === '(') {
    head.skipParenthesis();
    word = head.take();
  }
  if (word === 'analyze' || word === 'analyse') word = head.take();
  if (word === 'verbose') word = head.take();
  return word === 'create' && creates(head);
}

class Head {
  readonly #text: string;
  readonly #lexer: Lexer;

  constructor(text: string, lexer: Lexer) {
    this.#text = text;
    this.#lexer = lexer;
  }

  token(): Token {
    return this.#lexer.next();
  }

  /** The next token: a key word in lower case, an opening parenthesis, or empty for all else. */
  take(): string {
    const token = this.token();
    if (token.kind === 'punctuation' && this.#text[token.start] === '(') return '(';
    return keywordOf(this.#text, token);
  }

  /** To the parenthesis that closes the one just taken, or to the end. */
  skipParenthesis(): void {
    for (let depth = 1; depth > 0;) {
      const token = this.token();
      if (token.kind === 'end') return;
      if (token.kind !== 'punctuation') continue;
      const character = this.#text[token.start];
      if (character === '(') depth++;
      else if (character === ')') depth--;
    }
  }
}

const A = 0x61;
const C = 0x63;
const D = 0x64;
const E = 0x65;
const G = 0x67;
const H = 0x68;
const N = 0x6e;

/**
 * Whether CDC or CHANGE stands as a word, in any case, among the bytes from `start` to `end`: without one no statement
 * is ours. Holds in every encoding a client may use, since only ASCII separates key words in each. This is asked of
 * every Query and Parse message: linear, without allocation, and two bytes of three are mostly not even looked at.
 */
export function mayBeOurs(bytes: Uint8Array, start: number, end: number): boolean {
  // Horspool's search for "cdc" and "cha" at once, by the last byte of three. | 0x20 folds letters and makes none.
  let at = start + 2;
  while (at < end) {
    switch (bytes[at]! | 0x20) {
      case C:
        if (isCdc(bytes, at - 2) && isWord(bytes, at - 2, at + 1, start, end)) return true;
        at += 2;
        break;
      case A:
        if (isChange(bytes, at - 2, end) && isWord(bytes, at - 2, at + 4, start, end)) return true;
        at += 3;
        break;
      case D:
      case H:
        at += 1;
        break;
      default:
        at += 3;
    }
  }
  return false;
}

function isCdc(bytes: Uint8Array, at: number): boolean {
  return (bytes[at]! | 0x20) === C && (bytes[at + 1]! | 0x20) === D;
}

function isChange(bytes: Uint8Array, at: number, end: number): boolean {
  return (
    at + 6 <= end &&
    (bytes[at]! | 0x20) === C &&
    (bytes[at + 1]! | 0x20) === H &&
    (bytes[at + 3]! | 0x20) === N &&
    (bytes[at + 4]! | 0x20) === G &&
    (bytes[at + 5]! | 0x20) === E
  );
}

/** Whether no identifier goes on before `from` or at `to`. */
function isWord(bytes: Uint8Array, from: number, to: number, start: number, end: number): boolean {
  return (from <= start || !isWordPart(bytes[from - 1]!)) && (to >= end || !isWordPart(bytes[to]!));
}
