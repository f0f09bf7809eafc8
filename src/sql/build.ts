import { isReservedWord } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type * as ast from './ast.ts';
import type { QualifiedName } from './command.ts';
import { quotedWordValue, stringValue } from './constant.ts';
import { findOption, OPTION_NAMES } from './options.ts';
import { nearest } from './nearest.ts';
import type { Skeleton } from './skeleton.ts';
import { atOrNear } from './syntax-error.ts';

/** A Bind message counts its parameters in 16 bits. */
const MAX_PARAMETERS = 65_535;

interface ClauseValues {
  topic: ast.Literal;
  format: ast.Choice<ast.FormatName>;
  envelope: ast.Choice<ast.EnvelopeName>;
  options: readonly ast.Option[];
  name: ast.Name | ast.Literal;
}

type Clause = {
  readonly [Kind in keyof ClauseValues]: {
    readonly kind: Kind;
    readonly value: ClauseValues[Kind];
    readonly position: number;
  };
}[keyof ClauseValues];

const CLAUSE_WORD: Readonly<Record<keyof ClauseValues, string>> = {
  topic: 'TOPIC',
  format: 'FORMAT',
  envelope: 'ENVELOPE',
  options: 'WITH',
  name: 'AS',
};

/**
 * Makes the nodes that the grammar's actions ask for, out of the tokens at given offsets. What the grammar cannot say
 * is refused here, as `PgError` 42601: a clause or an option twice, two names, an unknown option; 42P02: `$0`.
 */
export class NodeBuilder {
  readonly #skeleton: Skeleton;

  constructor(skeleton: Skeleton) {
    this.#skeleton = skeleton;
  }

  isReserved(word: string): boolean {
    return isReservedWord(word);
  }

  name(text: string, offset: number): ast.Name {
    return Object.freeze({ text, position: this.#position(offset) });
  }

  quotedName(offset: number): ast.Name {
    const token = this.#skeleton.tokenAt(offset);
    const text = quotedWordValue(this.#skeleton.source, token);
    if (text === '') {
      throw syntaxFault(`zero-length delimited identifier ${atOrNear(this.#skeleton, token)}`, token.position);
    }
    return this.name(text, offset);
  }

  string(offset: number): ast.StringConstant {
    const skeleton = this.#skeleton;
    const value = stringValue(skeleton.source, skeleton.tokenAt(offset), (at, message, hint) =>
      syntaxFault(message, skeleton.positionOf(at), hint),
    );
    return Object.freeze({ kind: 'string', value, position: this.#position(offset) });
  }

  parameter(offset: number): ast.Parameter {
    const token = this.#skeleton.tokenAt(offset);
    const written = this.#skeleton.source.slice(token.start, token.end);
    const index = Number(written.slice(1));
    if (index < 1 || index > MAX_PARAMETERS) {
      throw new PgError('undefined_parameter', `there is no parameter ${shorten(written)}`, {
        position: token.position,
      });
    }
    return Object.freeze({ kind: 'parameter', index, position: token.position });
  }

  digits(offset: number): string {
    const token = this.#skeleton.tokenAt(offset);
    return this.#skeleton.source.slice(token.start, token.end);
  }

  number(sign: string, digits: string, offset: number): ast.NumberConstant {
    const text = sign === '-' ? `-${digits}` : digits;
    return Object.freeze({ kind: 'number', text, position: this.#position(offset) });
  }

  word(text: string, offset: number): ast.Word {
    return Object.freeze({ kind: 'word', text, position: this.#position(offset) });
  }

  choice(value: string, offset: number): ast.Choice<string> {
    return Object.freeze({ value, position: this.#position(offset) });
  }

  qualifiedName(schema: ast.Name | null, name: ast.Name): QualifiedName {
    return Object.freeze({
      schema: schema?.text ?? null,
      name: name.text,
      position: schema?.position ?? name.position,
    });
  }

  option(name: ast.Name, value: ast.OptionValue | null): ast.Option {
    return Object.freeze({ name, value });
  }

  clause<Kind extends keyof ClauseValues>(kind: Kind, value: ClauseValues[Kind], offset: number): Clause {
    return { kind, value, position: this.#position(offset) } as Clause;
  }

  webhook(url: ast.Literal, offset: number): ast.DestinationNode {
    return Object.freeze({ kind: 'webhook', url, position: this.#position(offset) });
  }

  kafka(brokers: ast.Literal, offset: number): ast.DestinationNode {
    return Object.freeze({ kind: 'kafka', brokers, topic: null, position: this.#position(offset) });
  }

  createStream(
    ifNotExists: boolean,
    name: ast.Name | null,
    table: QualifiedName,
    destination: ast.DestinationNode,
    clauses: readonly Clause[],
  ): ast.CreateStream {
    const given = new Map<Clause['kind'], Clause>();
    for (const clause of clauses) {
      if (given.has(clause.kind)) {
        throw syntaxFault(`clause ${CLAUSE_WORD[clause.kind]} specified more than once`, clause.position);
      }
      given.set(clause.kind, clause);
    }
    const value = <Kind extends keyof ClauseValues>(kind: Kind): ClauseValues[Kind] | null =>
      (given.get(kind)?.value as ClauseValues[Kind] | undefined) ?? null;
    const alias = value('name');
    if (name !== null && alias !== null) {
      const hint = 'Name the stream before ON or after AS, not both.';
      throw syntaxFault('stream name specified more than once', alias.position, hint);
    }
    const options = value('options') ?? [];
    checkOptions(options);
    return Object.freeze({
      kind: 'create-stream',
      ifNotExists,
      name: name ?? aliasName(alias),
      table,
      destination: withTopic(destination, given.get('topic') ?? null),
      format: value('format'),
      envelope: value('envelope'),
      options: Object.freeze(options),
    });
  }

  alterStream(name: ast.Name, action: 'pause' | 'resume'): ast.AlterStream {
    return Object.freeze({ kind: 'alter-stream', name, action });
  }

  dropStreams(ifExists: boolean, names: readonly ast.Name[]): ast.DropStreams {
    return Object.freeze({ kind: 'drop-streams', ifExists, names: Object.freeze(names) });
  }

  showStreams(): ast.ShowStreams {
    return Object.freeze({ kind: 'show-streams' });
  }

  showStreamStatus(name: ast.Name): ast.ShowStreamStatus {
    return Object.freeze({ kind: 'show-stream-status', name });
  }

  #position(offset: number): number {
    return this.#skeleton.tokenAt(offset).position;
  }
}

/** HeliosDB writes the name as a string: it is then taken as written. */
function aliasName(alias: ast.Name | ast.Literal | null): ast.Name | ast.Parameter | null {
  if (alias === null || !('kind' in alias) || alias.kind === 'parameter') return alias;
  if (alias.value === '') throw syntaxFault('a stream name cannot be empty', alias.position);
  return Object.freeze({ text: alias.value, position: alias.position });
}

function withTopic(destination: ast.DestinationNode, topic: Clause | null): ast.DestinationNode {
  if (topic === null || topic.kind !== 'topic') return destination;
  if (destination.kind === 'kafka') return Object.freeze({ ...destination, topic: topic.value });
  throw syntaxFault('syntax error at or near "TOPIC"', topic.position, 'TOPIC belongs to TO KAFKA.');
}

function checkOptions(options: readonly ast.Option[]): void {
  const seen = new Map<string, string>();
  for (const { name } of options) {
    const option = findOption(name.text);
    if (option === null) {
      const near = nearest(name.text, OPTION_NAMES);
      const hint = near === null ? `The options are ${OPTION_NAMES.join(', ')}.` : `did you mean "${near}"?`;
      throw syntaxFault(`unrecognized option "${shorten(name.text)}"`, name.position, hint);
    }
    const earlier = seen.get(option.name);
    if (earlier !== undefined) {
      const hint = earlier === name.text ? undefined : `"${name.text}" and "${earlier}" are the same option.`;
      throw syntaxFault(`option "${name.text}" specified more than once`, name.position, hint);
    }
    seen.set(option.name, name.text);
  }
}

const MAX_SHOWN = 100;

function shorten(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

function syntaxFault(message: string, position: number, hint?: string): PgError {
  return new PgError('syntax_error', message, { position, hint });
}
