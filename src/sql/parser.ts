import { PgError } from '../postgres/sqlstate.ts';
import type { Statement } from './ast.ts';
import { NodeBuilder } from './build.ts';
import { parse, SyntaxError as GrammarError } from './generated/cdc-parser.js';
import type { LexerSettings } from './lexer.ts';
import { Skeleton } from './skeleton.ts';
import { syntaxError } from './syntax-error.ts';

const STANDARD: LexerSettings = { standardConformingStrings: true };

/** UTF-16 units. Reading that much takes a second, in which no other client is served; our statements have a few kB. */
const MAX_STATEMENT_LENGTH = 1_048_576;

/**
 * The statement that `text` spells: one statement of ours, a semicolon at its end tolerated. `grammar/cdc.peggy` has the
 * syntax. Everything else is a `PgError` with a position in characters of `text` and mostly a hint: 42601, or 42P02 for
 * a parameter that cannot be; and 54000, without position, where the text is too long.
 */
export function parseStatement(text: string, settings: LexerSettings = STANDARD): Statement {
  if (text.length > MAX_STATEMENT_LENGTH) {
    throw new PgError('program_limit_exceeded', 'statement too long', {
      detail: `CDC statements have at most ${MAX_STATEMENT_LENGTH} characters.`,
    });
  }
  const skeleton = new Skeleton(text, settings);
  try {
    return parse(skeleton.text, { build: new NodeBuilder(skeleton) }) as Statement;
  } catch (error) {
    if (error instanceof PgError || !(error instanceof GrammarError)) throw error;
    throw syntaxError(skeleton, { offset: error.location.start.offset, expected: expectedNames(error) });
  }
}

/** The display names of the grammar's tokens, in the grammar's order. */
function expectedNames(error: GrammarError): string[] {
  const names = new Set<string>();
  for (const { type, description } of error.expected ?? []) {
    if (type === 'other' && description !== undefined) names.add(description);
  }
  // Hints teach one spelling.
  if (names.has('TO')) names.delete('INTO');
  if (names.has('ON')) names.delete('FOR');
  // There is no use for them yet: they are taken because HeliosDB has them.
  for (const name of ['KINESIS', 'REGION']) names.delete(name);
  // That the statement may also end is told last.
  if (names.delete(';')) names.add('the end of the statement');
  return [...names];
}
