import { hasSqlDetails, loadModule, type Node, parseSync } from 'libpg-query';
import { PgError, type SQLSTATE } from '../../postgres/sqlstate.ts';
import { Lexer, type LexerSettings } from '../lexer.ts';

/*
  A predicate is parsed by Postgres's own parser (libpg-query: the grammar of PostgreSQL 18, compiled to WebAssembly).

  node-sql-parser 5.4 in its PostgreSQL dialect was tried first and cannot be right. It takes `a < b < c`, which is no SQL;
  it reads `-2::int2` as `(-2)::int2` and `a || b -> 'c'` as `a || (b -> 'c')`; it gives `IS DISTINCT FROM c` as text; it
  takes neither `a IS NULL = b`, `a = b IS NULL`, `IS NOT DISTINCT FROM NULL`, `BETWEEN SYMMETRIC`, `IN (…) = b`, `U&'…'`,
  `"a""b"`, `^`, `0x1F` nor `1_000`; it leaves the escapes of `E'…'` undone, reports no position of a node, and has 89 MB
  where libpg-query has 1.8 MB (MIT licence, one dependency: types).
*/
await loadModule();

/** UTF-16 units, and tokens: what the parser's stacks have room for many times over. */
const MAX_LENGTH = 65_536;
const MAX_TOKENS = 5_000;
const PREFIX = 'SELECT (';

export type { Node };

/** Turns places in the parser's text into positions of the statement. */
export class PredicateSource {
  readonly text: string;
  readonly #position: number;
  readonly #bytes: Buffer;

  constructor(text: string, position: number) {
    this.text = text;
    this.#position = position;
    this.#bytes = Buffer.from(PREFIX + text, 'utf8');
  }

  /** Characters, from 1, of the statement; `location` is a node's: bytes of what the parser has read. */
  position(location: number | undefined): number {
    if (location === undefined || location < PREFIX.length) return this.#position;
    return this.#position + countCharacters(this.#bytes.toString('utf8', PREFIX.length, location));
  }

  /** The position of a UTF-16 offset of `text`. */
  positionOf(offset: number): number {
    return this.#position + countCharacters(this.text.slice(0, offset));
  }

  /** As `position`, for a place that is counted in characters. */
  positionOfCharacter(place: number): number {
    const inside = Math.min(Math.max(place - PREFIX.length, 0), countCharacters(this.text));
    return this.#position + inside;
  }

  error(
    condition: keyof typeof SQLSTATE,
    location: number | undefined,
    message: string,
    fields: { hint?: string | undefined; detail?: string | undefined } = {},
  ): PgError {
    return new PgError(condition, message, { ...fields, position: this.position(location) });
  }
}

function countCharacters(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) count++;
  return count;
}

/**
 * The expression that `source` spells. Everything else is a `PgError` with its position: 42601; 54000 and 54001 where it is
 * too long or too deep; 22P06 for a backslash in `'…'` of a session that takes it for an escape.
 */
export function parseExpression(source: PredicateSource, settings: LexerSettings): Node {
  checkTokens(source, settings);
  try {
    // On a line of its own, out of reach of a `--` at the predicate's end.
    const { stmts } = parseSync(`${PREFIX}${source.text}\n)`);
    const statement = stmts?.length === 1 ? stmts[0]!.stmt : undefined;
    const select = statement !== undefined && 'SelectStmt' in statement ? statement.SelectStmt : undefined;
    const target = select?.targetList?.length === 1 ? select.targetList[0]! : undefined;
    if (target !== undefined && 'ResTarget' in target && target.ResTarget.val !== undefined) {
      return target.ResTarget.val;
    }
  } catch (error) {
    throw parserError(source, error);
  }
  throw source.error('syntax_error', undefined, 'syntax error: a predicate is one expression');
}

function parserError(source: PredicateSource, error: unknown): unknown {
  if (error instanceof RangeError || (error instanceof Error && error.message.startsWith('memory exhausted'))) {
    return source.error('statement_too_complex', undefined, 'predicate too complex');
  }
  if (!hasSqlDetails(error)) return error;
  const place = error.sqlDetails?.cursorPosition ?? 0;
  return new PgError('syntax_error', error.message, { position: source.positionOfCharacter(place) });
}

/** Keeps the parser from what it cannot take, and the predicate inside its parentheses. */
function checkTokens(source: PredicateSource, settings: LexerSettings): void {
  const { text } = source;
  if (text.length > MAX_LENGTH) {
    throw new PgError('program_limit_exceeded', `predicate too long: at most ${MAX_LENGTH} characters`, {
      position: source.positionOf(0),
    });
  }
  const fail = (offset: number, what: string): PgError =>
    new PgError('syntax_error', what, { position: source.positionOf(offset) });
  const odd = /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.exec(text);
  if (odd !== null) throw fail(odd.index, 'a predicate holds no NUL and no half of a surrogate pair');
  const lexer = new Lexer(text, settings);
  let depth = 0;
  let count = 0;
  for (let token = lexer.next(); token.kind !== 'end'; token = lexer.next()) {
    if (++count > MAX_TOKENS) {
      throw new PgError('statement_too_complex', `predicate too complex: at most ${MAX_TOKENS} words and symbols`, {
        position: source.positionOf(token.start),
      });
    }
    const first = text[token.start];
    if (token.kind === 'punctuation' && first === '(') depth++;
    if (token.kind === 'punctuation' && first === ')' && depth-- === 0) {
      throw fail(token.start, 'syntax error at or near ")"');
    }
    if (token.kind === 'escape-string' && first === "'" && text.slice(token.start, token.end).includes('\\')) {
      throw new PgError('nonstandard_use_of_escape_character', 'nonstandard use of \\ in a string literal', {
        position: source.positionOf(token.start),
        hint: "Use the escape string syntax for escapes, e.g., E'\\r\\n'.",
      });
    }
  }
  if (count === 0) throw fail(text.length, 'syntax error: the predicate is empty');
}
