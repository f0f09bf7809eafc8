import { must } from '../base/assert.ts';
import { foldIdentifier } from '../postgres/identifier.ts';
import { Lexer, type LexerSettings, type Token } from './lexer.ts';

/** A token and where it stands as errors tell it: characters (code points) of the statement, from 1. */
export interface PlacedToken extends Token {
  readonly position: number;
}

/** What matches no rule of the grammar. */
const UNKNOWN = '\0';

/**
 * What the grammar is matched against: the statement with what is not grammar taken out, every token at its own offset.
 * White space and comments are blanks, bare words are folded to lower case, and constants and quoted words are reduced
 * to a mark and blanks: `'` a string, `"` a name, `0` a number, `$` a parameter. So the grammar has no lexical rules to
 * differ from Postgres's, and what a constant holds cannot be taken for grammar.
 */
export class Skeleton {
  readonly source: string;
  readonly text: string;
  readonly #tokens = new Map<number, PlacedToken>();

  constructor(source: string, settings: LexerSettings) {
    this.source = source;
    const parts: string[] = [];
    const lexer = new Lexer(source, settings);
    let end = 0;
    let position = 1;
    for (;;) {
      const token = lexer.next();
      parts.push(' '.repeat(token.start - end));
      position += characters(source, end, token.start);
      this.#tokens.set(token.start, { ...token, position });
      if (token.kind === 'end') break;
      parts.push(marked(source, token));
      position += characters(source, token.start, token.end);
      end = token.end;
    }
    this.text = parts.join('');
  }

  /** The token that begins at this offset of the source, which is the same in `text`. */
  tokenAt(offset: number): PlacedToken {
    return must(this.#tokens.get(offset), 'no token begins here');
  }

  /** The position of an offset that need not be a token's beginning. */
  positionOf(offset: number): number {
    return 1 + characters(this.source, 0, offset);
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
      // Of operators the grammar uses only = and signs: == must not pass for two of them.
      return length === 1 ? source.slice(token.start, token.end) : UNKNOWN.repeat(length);
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
