import { isReservedWord } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type * as ast from './ast.ts';
import type { QualifiedName } from './command.ts';
import { quotedWordValue, stringValue, type Complain } from './constant.ts';
import { type Clause, type ClauseValues, createStream, type CreateHead, withDetail } from './create-clauses.ts';
import { checkOptions, type OptionPlace } from './option-names.ts';
import { predicateText } from './predicate-text.ts';
import type { PlacedToken, Skeleton } from './skeleton.ts';
import { atOrNear, shorten, syntaxFault } from './syntax-error.ts';

/** A Bind message counts its parameters in 16 bits. */
const MAX_PARAMETERS = 65_535;

/**
 * Makes the nodes of one statement, for the actions of the grammar. Offsets are those of tokens. Raises the errors that
 * belong to syntax and that no grammar can tell: 42601, 42P02 for a parameter that cannot be, 42701 for a column twice.
 */
export class NodeBuilder {
  readonly #skeleton: Skeleton;

  constructor(skeleton: Skeleton) {
    this.#skeleton = skeleton;
  }

  isReserved(word: string): boolean {
    return isReservedWord(word);
  }

  /** A node that needs no more than to be frozen; the types of its fields are those of `ast.ts`, by the grammar. */
  node<Node extends object>(fields: Node): Readonly<Node> {
    return Object.freeze(fields);
  }

  /** The same with the position of the token at `offset`. */
  at<Node extends object>(offset: number, fields: Node): Readonly<Node & { position: number }> {
    return Object.freeze({ ...fields, position: this.#position(offset) });
  }

  list<Item>(items: readonly Item[]): readonly Item[] {
    return Object.freeze(items);
  }

  /** Names of columns or schemas, none of them twice. */
  distinct(what: 'column' | 'schema', names: readonly ast.Name[]): readonly ast.Name[] {
    const seen = new Set<string>();
    for (const { text, position } of names) {
      if (seen.has(text)) {
        throw new PgError('duplicate_column', `${what} "${shorten(text)}" specified more than once`, { position });
      }
      seen.add(text);
    }
    return Object.freeze(names);
  }

  operations(operations: readonly ast.Operation[]): readonly ast.Operation[] {
    const seen = new Set<string>();
    for (const { name, position } of operations) {
      if (seen.has(name)) throw syntaxFault(`operation ${name.toUpperCase()} specified more than once`, position);
      seen.add(name);
    }
    return Object.freeze(operations);
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
    const value = stringValue(skeleton.source, skeleton.tokenAt(offset), this.#complain);
    return Object.freeze({ kind: 'string', value, position: this.#position(offset) });
  }

  readonly #complain: Complain = (at, message, hint) => syntaxFault(message, this.#skeleton.positionOf(at), hint);

  parameter(offset: number): ast.Parameter {
    const token = this.#skeleton.tokenAt(offset);
    return Object.freeze({ kind: 'parameter', index: this.#parameterIndex(token), position: token.position });
  }

  #parameterIndex(token: PlacedToken): number {
    const written = this.#skeleton.source.slice(token.start, token.end);
    const index = Number(written.slice(1));
    if (index >= 1 && index <= MAX_PARAMETERS) return index;
    const message = `there is no parameter ${shorten(written)}`;
    throw new PgError('undefined_parameter', message, { position: token.position });
  }

  predicate(offset: number): ast.Predicate {
    const tokens = this.#skeleton.predicateAt(offset);
    const parameters = tokens.filter(({ kind }) => kind === 'parameter').map((token) => this.#parameterIndex(token));
    return Object.freeze({
      kind: 'predicate',
      text: predicateText(this.#skeleton, tokens, this.#complain),
      parameters: Object.freeze(parameters),
      position: this.#position(offset),
    });
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

  qualifiedName(schema: ast.Name | null, name: ast.Name): QualifiedName {
    return Object.freeze({
      schema: schema?.text ?? null,
      name: name.text,
      position: schema?.position ?? name.position,
    });
  }

  clause<Kind extends keyof ClauseValues>(kind: Kind, value: ClauseValues[Kind], offset: number): Clause {
    return { kind, value, position: this.#position(offset) } as Clause;
  }

  createStream(head: CreateHead, clauses: readonly Clause[]): ast.CreateStream {
    return createStream(head, clauses);
  }

  setOptions(place: OptionPlace, options: readonly ast.Option[]): ast.StreamAction {
    checkOptions(place, options);
    return Object.freeze({ kind: 'set-options', options });
  }

  resetOptions(place: OptionPlace, names: readonly ast.Name[]): ast.StreamAction {
    checkOptions(
      place,
      names.map((name) => ({ name, value: null })),
    );
    return Object.freeze({ kind: 'reset-options', names: Object.freeze(names) });
  }

  setDestination(destination: ast.DestinationNode, topic: ast.Literal | null): ast.StreamAction {
    const detailed = topic === null ? destination : withDetail(destination, 'topic', topic, topic.position);
    return Object.freeze({ kind: 'set-destination', destination: detailed });
  }

  createEndpoint(
    orReplace: boolean,
    ifNotExists: boolean,
    name: ast.Name,
    url: ast.Literal,
    options: readonly ast.Option[] | null,
  ): ast.CreateEndpoint {
    checkOptions('endpoint', options ?? []);
    return Object.freeze({
      kind: 'create-endpoint',
      orReplace,
      ifNotExists,
      name,
      url,
      options: options ?? Object.freeze([]),
    });
  }

  setUrl(url: ast.Literal, options: readonly ast.Option[] | null): ast.EndpointAction {
    checkOptions('endpoint', options ?? []);
    return Object.freeze({ kind: 'set-url', url, options: options ?? Object.freeze([]) });
  }

  #position(offset: number): number {
    return this.#skeleton.tokenAt(offset).position;
  }
}
