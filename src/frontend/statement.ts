import { analyze, parameterCount } from '../sql/analyze.ts';
import type { Statement } from '../sql/ast.ts';
import { isOurs, mayBeOurs } from '../sql/classify.ts';
import type { Command } from '../sql/command.ts';
import type { LexerSettings } from '../sql/lexer.ts';
import { parseStatement } from '../sql/parser.ts';
import { splitStatements, type SourceSpan } from '../sql/split.ts';
import type { AnswersDue } from './answers-due.ts';
import { characterCount, decodeText } from './client-encoding.ts';

/** What the reading of a text depends on in a session. */
export interface TextSettings {
  readonly standardConformingStrings: boolean;
  readonly clientEncoding: string;
}

/** One statement of a query string. */
export interface SplitStatement {
  readonly span: SourceSpan;
  readonly isOurs: boolean;
}

/** A query string with a statement of ours in it. */
export interface OurText {
  readonly text: string;
  readonly statements: readonly SplitStatement[];
}

/**
 * Whether the text may have a statement of ours in it. Exact once the upstream owes nothing; before that, an answer on
 * its way may change what the text means (`SET standard_conforming_strings`), and the question is to be asked again.
 */
export function mayConcern(
  bytes: Buffer,
  start: number,
  end: number,
  relay: TextSettings & { due: AnswersDue },
): boolean {
  if (!mayBeOurs(bytes, start, end)) return false;
  return !relay.due.isSettled || recognise(bytes, start, end, relay) !== null;
}

/** The text between `start` and `end` taken apart, or null where no statement of it is ours. Never fails. */
export function recognise(bytes: Buffer, start: number, end: number, settings: TextSettings): OurText | null {
  if (!mayBeOurs(bytes, start, end)) return null;
  const text = decodeLeniently(bytes.subarray(start, end), settings.clientEncoding);
  const statements = splitStatements(text, settings).map((span) => ({ span, isOurs: isOurs(text, span, settings) }));
  return statements.some((statement) => statement.isOurs) ? { text, statements } : null;
}

function decodeLeniently(bytes: Buffer, encoding: string): string {
  try {
    return decodeText(bytes, encoding);
  } catch {
    // Byte by byte is right for the encodings whose bytes beyond ASCII are all above 127, and none of the others is
    // read. What the statement says is then refused where it matters, with the reason.
    return bytes.toString('latin1');
  }
}

/** A statement of ours, parsed; `command` types it once its parameters are known. */
export class PreparedCommand {
  readonly kind: Statement['kind'];
  readonly parameterCount: number;
  readonly #statement: Statement;
  readonly #charactersBefore: number;

  /** 42601 with the place in the whole text. */
  constructor(text: string, span: SourceSpan, settings: LexerSettings) {
    this.#charactersBefore = characterCount(text, span.start);
    this.#statement = this.#placed(() => parseStatement(text.slice(span.start, span.end), settings));
    this.kind = this.#statement.kind;
    this.parameterCount = parameterCount(this.#statement);
    // Without parameters, all that is wrong is known now.
    if (this.parameterCount === 0) this.command([]);
  }

  /** 22023, 42P02, 42622, 0A000: see `analyze`. */
  command(parameters: ReadonlyArray<string | null>): Command {
    return this.#placed(() => analyze(this.#statement, parameters));
  }

  /** Runs what concerns this statement; positions in its errors are then those of the whole text. */
  async placed<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw new PlacedError(error, this.#charactersBefore);
    }
  }

  #placed<T>(run: () => T): T {
    try {
      return run();
    } catch (error) {
      throw new PlacedError(error, this.#charactersBefore);
    }
  }
}

/** A statement of ours in a query string, ready to run. */
export interface TypedStatement {
  readonly prepared: PreparedCommand;
  readonly command: Command;
}

/** An error whose position counts from the beginning of a statement that has characters before it. */
export class PlacedError extends Error {
  override readonly name = 'PlacedError';
  readonly charactersBefore: number;

  constructor(cause: unknown, charactersBefore: number) {
    super('a statement failed', { cause });
    this.charactersBefore = charactersBefore;
  }
}
