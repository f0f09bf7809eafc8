import { analyze } from '../sql/analyze.ts';
import type { Statement } from '../sql/ast.ts';
import { isOurs, mayBeOurs } from '../sql/classify.ts';
import type { Command } from '../sql/command.ts';
import type { LexerSettings } from '../sql/lexer.ts';
import { parameterCount } from '../sql/parameter-count.ts';
import { parseStatement } from '../sql/parser.ts';
import { splitStatements, type SourceSpan } from '../sql/split.ts';
import type { AnswersDue } from './answers-due.ts';
import { characterCount, decodeText, encodeText } from './client-encoding.ts';
import { deallocatedName, mayDeallocate, type Deallocate } from './deallocation.ts';

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

/** The names of prepared statements of ours, as far as DEALLOCATE asks. */
interface Names {
  readonly areNamed: boolean;
  hasStatement(name: string): boolean;
}

/** Tells which texts have a statement of ours in them, or one that is about a name of ours. */
export class Recogniser {
  readonly #session: TextSettings & { readonly due: AnswersDue };
  readonly #names: Names;

  constructor(session: TextSettings & { readonly due: AnswersDue }, names: Names) {
    this.#session = session;
    this.#names = names;
  }

  /**
   * Whether the text may have a statement of ours in it. Exact once the upstream owes nothing; before that, an answer on
   * its way may change what the text means (`SET standard_conforming_strings`), and the question is to be asked again.
   */
  mayConcern(bytes: Buffer, start: number, end: number): boolean {
    if (!this.mayBeOurs(bytes, start, end)) return false;
    return !this.#session.due.isSettled || this.recognise(bytes, start, end) !== null;
  }

  /** The text between `start` and `end` taken apart, or null where no statement of it is ours. Never fails. */
  recognise(bytes: Buffer, start: number, end: number): OurText | null {
    if (!this.mayBeOurs(bytes, start, end)) return null;
    const settings = this.#session;
    const text = decodeLeniently(bytes.subarray(start, end), settings.clientEncoding);
    const statements = splitStatements(text, settings).map((span) => ({
      span,
      isOurs: isOurs(text, span, settings) || this.#deallocatesOurs(text, span),
    }));
    return statements.some((statement) => statement.isOurs) ? { text, statements } : null;
  }

  /** The first question, and all that can be asked of a part of a text. Linear and cheap. */
  mayBeOurs(bytes: Buffer, start: number, end: number): boolean {
    return mayBeOurs(bytes, start, end) || (this.#names.areNamed && mayDeallocate(bytes, start, end));
  }

  #deallocatesOurs(text: string, span: SourceSpan): boolean {
    if (!this.#names.areNamed) return false;
    const name = deallocatedName(text, span, this.#session);
    return name !== null && this.#names.hasStatement(nameBytes(name, this.#session));
  }
}

/** A name in SQL as the protocol's messages spell it (`Reader.name`). */
function nameBytes(name: string, { clientEncoding }: TextSettings): string {
  return encodeText(name, clientEncoding).toString('latin1');
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

/** What a statement of ours asks for. */
export type OwnCommand = Command | Deallocate;

/** A statement of ours, parsed; `command` types it once its parameters are known. */
export interface Prepared {
  readonly kind: Statement['kind'] | Deallocate['kind'];
  readonly parameterCount: number;
  /** Raises what is wrong with the statement as far as that does not depend on parameters that are still to come. */
  check(): void;
  /** 22023, 42P02, 42622, 0A000: see `analyze`. */
  command(parameters: ReadonlyArray<string | null>): OwnCommand;
  /** Runs what concerns this statement; positions in its errors are then those of the whole text. */
  placed<T>(run: () => Promise<T>): Promise<T>;
}

/** The statement of ours at the span. 42601 with the place in the whole text. */
export function prepareStatement(text: string, span: SourceSpan, settings: TextSettings): Prepared {
  const name = deallocatedName(text, span, settings);
  return name === null ? new PreparedCommand(text, span, settings) : new PreparedDeallocate(nameBytes(name, settings));
}

class PreparedDeallocate implements Prepared {
  readonly kind = 'deallocate';
  readonly parameterCount = 0;
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  check(): void {
    // Whether there is such a name is a question for when it runs.
  }

  command(): Deallocate {
    return { kind: 'deallocate', name: this.#name };
  }

  placed<T>(run: () => Promise<T>): Promise<T> {
    return run();
  }
}

class PreparedCommand implements Prepared {
  readonly kind: Statement['kind'];
  readonly parameterCount: number;
  readonly #statement: Statement;
  readonly #charactersBefore: number;

  constructor(text: string, span: SourceSpan, settings: LexerSettings) {
    this.#charactersBefore = characterCount(text, span.start);
    this.#statement = this.#placed(() => parseStatement(text.slice(span.start, span.end), settings));
    this.kind = this.#statement.kind;
    this.parameterCount = parameterCount(this.#statement);
  }

  check(): void {
    if (this.parameterCount === 0) this.command([]);
  }

  command(parameters: ReadonlyArray<string | null>): Command {
    return this.#placed(() => analyze(this.#statement, parameters));
  }

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
  readonly prepared: Prepared;
  readonly command: OwnCommand;
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
