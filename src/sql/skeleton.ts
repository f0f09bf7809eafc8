import { must } from '../base/assert.ts';
import { foldIdentifier } from '../postgres/identifier.ts';
import { keywordOf } from './keyword.ts';
import { Lexer, type LexerSettings, type Token } from './lexer.ts';

/** A token and where it stands as errors tell it: characters (code points) of the statement, from 1. */
export interface PlacedToken extends Token {
  readonly position: number;
}

/** What matches no rule of the grammar. */
const UNKNOWN = '\0';

/** Stands where a predicate begins. */
const PREDICATE = '?';

/**
 * What the grammar is matched against: the statement with what is not grammar taken out, every token at its own offset.
 * White space and comments are blanks, bare words are folded to lower case, and constants and quoted words are reduced
 * to a mark and blanks: `'` a string, `"` a name, `0` a number, `$` a parameter. So the grammar has no lexical rules to
 * differ from Postgres's, and what a constant holds cannot be taken for grammar.
 *
 * A predicate is what stands between `WHERE (` or `WHEN (` and the parenthesis that closes it: a mark (`?`) and blanks. Both
 * words are reserved, so only behind a dot can they be something else. It may be as long and as deep as it likes here.
 */
export class Skeleton {
  readonly source: string;
  readonly text: string;
  readonly settings: LexerSettings;
  readonly #tokens = new Map<number, PlacedToken>();
  readonly #predicates = new Map<number, readonly PlacedToken[]>();

  constructor(source: string, settings: LexerSettings) {
    this.source = source;
    this.settings = settings;
    const parts: string[] = [];
    const lexer = new Lexer(source, settings);
    const nesting = new PredicateNesting(source);
    let end = 0;
    let position = 1;
    for (;;) {
      const token = lexer.next();
      parts.push(' '.repeat(token.start - end));
      position += characters(source, end, token.start);
      const placed = { ...token, position };
      this.#tokens.set(token.start, placed);
      if (token.kind === 'end') break;
      const predicate = nesting.take(placed);
      if (predicate === null || token.malformed) parts.push(marked(source, token));
      else parts.push((predicate.length === 1 ? PREDICATE : ' ').padEnd(token.end - token.start));
      if (predicate?.length === 1) this.#predicates.set(token.start, predicate);
      position += characters(source, token.start, token.end);
      end = token.end;
    }
    this.text = parts.join('');
  }

  /** The token that begins at this offset of the source, which is the same in `text`. */
  tokenAt(offset: number): PlacedToken {
    return must(this.#tokens.get(offset), 'no token begins here');
  }

  /** The tokens of the predicate that begins at this offset. */
  predicateAt(offset: number): readonly PlacedToken[] {
    return must(this.#predicates.get(offset), 'no predicate begins here');
  }

  /** The position of an offset that need not be a token's beginning. */
  positionOf(offset: number): number {
    return 1 + characters(this.source, 0, offset);
  }
}

/** Follows the tokens into predicates and out of them. */
class PredicateNesting {
  readonly #source: string;
  /** The key words (and dots) just before. */
  #beforeLast = '';
  #last = '';
  /** How many parentheses are open inside; null outside of predicates. */
  #depth: number | null = null;
  #predicate: PlacedToken[] = [];

  constructor(source: string) {
    this.#source = source;
  }

  /** The predicate so far, this token its last; null for a token of none. */
  take(token: PlacedToken): readonly PlacedToken[] | null {
    const mark = this.#markOf(token);
    if (this.#depth !== null) {
      if (mark === ')' && this.#depth === 0) {
        this.#depth = null;
        return null;
      }
      if (mark === '(') this.#depth++;
      else if (mark === ')') this.#depth--;
      this.#predicate.push(token);
      return this.#predicate;
    }
    if (mark === '(' && (this.#last === 'where' || this.#last === 'when') && this.#beforeLast !== '.') {
      this.#depth = 0;
      this.#predicate = [];
    }
    this.#beforeLast = this.#last;
    this.#last = mark;
    return null;
  }

  #markOf(token: PlacedToken): string {
    if (token.kind === 'punctuation') return this.#source[token.start]!;
    return keywordOf(this.#source, token);
  }
}

function characters(text: string, start: number, end: number): number {
  let count = 0;
  for (let at = start; at < end; count++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return count;
}

function marked(source: string, token: Token): string {
  const length = token.end - token.start;
  if (token.malformed) return UNKNOWN.repeat(length);
  switch (token.kind) {
    case 'word':
      return foldIdentifier(source.slice(token.start, token.end));
    case 'quoted-word':
      return '"'.padEnd(length);
    case 'string':
    case 'escape-string':
    case 'dollar-string':
      return "'".padEnd(length);
    case 'number':
      return '0'.padEnd(length);
    case 'parameter':
      return '$'.padEnd(length);
    case 'punctuation':
      return source.slice(token.start, token.end);
    case 'operator':
      // Of operators the grammar uses only =, signs and the cast: == must not pass for two of them.
      return length === 1 || source.slice(token.start, token.end) === '::'
        ? source.slice(token.start, token.end)
        : UNKNOWN.repeat(length);
    case 'unicode-word':
    case 'unicode-string':
    case 'national-string':
    case 'bit-string':
    case 'comment':
    case 'other':
    case 'end':
      return UNKNOWN.repeat(length);
  }
}
