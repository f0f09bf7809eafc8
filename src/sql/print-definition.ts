import { shownHeaders } from '../model/header-rules.ts';
import { effectiveOptions } from '../model/effective-options.ts';
import type { EndpointDefinition } from '../model/endpoint.ts';
import { redactUrl } from '../model/redact.ts';
import { HIDDEN_VALUE, type SecretReference, SecretValue } from '../model/secret.ts';
import type { Destination, StreamDeclaration, StreamOperation } from '../model/stream.ts';
import {
  DEFAULT_STREAM_OPTIONS,
  ENDPOINT_OPTION_KEYS,
  type EndpointOptions,
  type OptionKey,
  type StreamOptions,
} from '../model/stream-options.ts';
import type * as ast from './ast.ts';
import { STREAM_OPTIONS, type OptionType } from './option-table.ts';
import { optionOf } from './options.ts';
import { printOption, printStatement, printValue } from './print.ts';

/** What `printDefinition` needs of a `StreamDefinition`. */
export type PrintableStream = StreamDeclaration & { readonly name: string };

/**
 * The CREATE that makes the stream, in its canonical spelling: every option that somebody has written, no other. Read again
 * it gives the same parts. Secrets stand in it by name; a secret that was a literal is `'***'`. URLs and headers are
 * complete, so it is for the eyes of who may have them: `printShownDefinition` is for everybody's.
 */
export function printDefinition(stream: PrintableStream): string {
  return printStatement(createStatement(stream));
}

/**
 * The same as a client may see it: query values of the URL and headers that carry credentials are `***`. `isRedacted` where
 * that, or a secret that was a literal, keeps the text from making the same stream again.
 */
export function printShownDefinition(stream: PrintableStream): { readonly text: string; readonly isRedacted: boolean } {
  const shown: PrintableStream = {
    ...stream,
    destination: shownDestination(stream.destination),
    options: { ...stream.options, headers: shownHeaders(stream.options.headers) },
  };
  const text = printDefinition(shown);
  const hasLiterals = stream.givenOptions.some((key) => isLiteralSecret(stream.options[key]));
  return { text, isRedacted: hasLiterals || text !== printDefinition(stream) };
}

/** The statement that makes an endpoint, as a client may see it. */
export function printShownEndpoint(endpoint: EndpointDefinition): {
  readonly text: string;
  readonly isRedacted: boolean;
} {
  const url = endpoint.url.includes('?') ? redactUrl(endpoint.url) : endpoint.url;
  const text = printEndpoint(shownEndpoint({ ...endpoint, url }));
  const hasLiterals = Object.values(endpoint.options).some(isLiteralSecret);
  return { text, isRedacted: hasLiterals || text !== printEndpoint(endpoint) };
}

/** An endpoint's options as they stand in its WITH, as a client may see them; empty where it has none. */
export function printShownOptions(endpoint: EndpointDefinition): string {
  return endpointOptions(shownEndpoint(endpoint)).map(printOption).join(', ');
}

function printEndpoint(endpoint: EndpointDefinition): string {
  return printStatement({
    kind: 'create-endpoint',
    orReplace: false,
    ifNotExists: false,
    name: nameNode(endpoint.name),
    url: literal(endpoint.url),
    options: endpointOptions(endpoint),
  });
}

function endpointOptions({ options }: EndpointDefinition): readonly ast.Option[] {
  const typed = options as EndpointOptions;
  const all = { ...DEFAULT_STREAM_OPTIONS, ...typed };
  return ENDPOINT_OPTION_KEYS.flatMap((key) => (key in typed ? [optionNode(key, all)] : []));
}

function shownEndpoint(endpoint: EndpointDefinition): EndpointDefinition {
  const { headers } = endpoint.options as EndpointOptions;
  if (headers === undefined) return endpoint;
  return { ...endpoint, options: { ...endpoint.options, headers: shownHeaders(headers) } };
}

/** An option as SHOW CDC STREAM OPTIONS has it. */
export interface ShownOption {
  readonly name: string;
  /** As it would be written, without its quotes; a secret that was a literal is `***`. Null where there is none. */
  readonly value: string | null;
  readonly source: 'stream' | 'endpoint' | 'default';
  readonly text: string;
}

/** Every option of a stream with the value in force, its endpoint's included. */
export function optionsOf(
  stream: Pick<StreamDeclaration, 'options' | 'givenOptions' | 'destination'>,
  endpoint: EndpointDefinition | null,
): readonly ShownOption[] {
  const { options, taken } =
    endpoint === null ? { options: stream.options, taken: NONE } : effectiveOptions(stream, endpoint);
  const shown: StreamOptions = { ...options, headers: shownHeaders(options.headers) };
  const isKafka = stream.destination.kind === 'kafka';
  const rows = STREAM_OPTIONS.filter((row) => row.destination === 'any' || (row.destination === 'kafka') === isKafka);
  return rows.map((row) => ({
    name: row.name,
    value: shown[row.key] === null ? null : bareText(valueNode(row.type, shown[row.key])),
    source: taken.has(row.key) ? 'endpoint' : stream.givenOptions.includes(row.key) ? 'stream' : 'default',
    text: row.text,
  }));
}

const NONE: ReadonlySet<OptionKey> = new Set();

function bareText(value: ast.OptionValue): string {
  return value.kind === 'string' ? value.value : printValue(value);
}

function shownDestination(destination: Destination): Destination {
  if (destination.kind !== 'webhook' || !destination.url.includes('?')) return destination;
  return { kind: 'webhook', url: redactUrl(destination.url) };
}

// The nodes of the statement, as if it had been written; positions mean nothing here.
const position = 0;

function createStatement(stream: PrintableStream): ast.CreateStream {
  const { transform, comment, operations, orderingKey, format, envelope } = stream;
  return {
    kind: 'create-stream',
    orReplace: false,
    ifNotExists: false,
    name: nameNode(stream.name),
    source: sourceNode(stream),
    destination: destinationNode(stream.destination),
    format: { value: format, position },
    envelope: { value: envelope, position },
    operations: operations?.map(operationNode) ?? null,
    when: stream.when === null ? null : predicateNode(stream.when),
    transform: transform === null ? null : { language: transform.language, text: literal(transform.text), position },
    key: orderingKey?.map(nameNode) ?? null,
    options: stream.givenOptions.map((key) => optionNode(key, stream.options)),
    comment: comment === null ? null : literal(comment),
  };
}

function nameNode(text: string): ast.Name {
  return { text, position };
}

function literal(value: string): ast.StringConstant {
  return { kind: 'string', value, position };
}

function predicateNode(text: string): ast.Predicate {
  return { kind: 'predicate', text, parameters: [], position };
}

function sourceNode({ scope, tables }: PrintableStream): ast.SourceNode {
  switch (scope.kind) {
    case 'all-tables':
      return { kind: 'all-tables', position };
    case 'schemas':
      return { kind: 'schemas', schemas: scope.schemas.map(nameNode), position };
    case 'tables': {
      // One that was dropped and made anew may be there under either: a statement can mean the new one alone.
      const named = new Map(tables.map((table) => [JSON.stringify([table.schema, table.name]), table]));
      const items = [...named.values()].map(({ schema, name, columns, where }) => ({
        table: { schema, name, position },
        columns: columns?.map(nameNode) ?? null,
        where: where === null ? null : predicateNode(where),
      }));
      return { kind: 'tables', items, position };
    }
  }
}

function destinationNode(destination: Destination): ast.DestinationNode {
  switch (destination.kind) {
    case 'webhook':
      return { kind: 'webhook', url: literal(destination.url), position };
    case 'endpoint':
      return { kind: 'endpoint', name: nameNode(destination.name), position };
    case 'kafka': {
      const topic = destination.topic === null ? null : literal(destination.topic);
      return { kind: 'kafka', brokers: literal(destination.brokers), topic, position };
    }
  }
}

function operationNode({ name, columns }: StreamOperation): ast.Operation {
  return { name, columns: columns?.map(nameNode) ?? null, position };
}

/** An option as it would be written; a secret that is not named is `***`. */
export function optionNode(key: OptionKey, options: StreamOptions): ast.Option {
  const row = optionOf(key);
  return { name: nameNode(row.name), value: valueNode(row.type, options[key]) };
}

function valueNode(type: OptionType, value: StreamOptions[OptionKey]): ast.OptionValue {
  if (type === 'json') return literal(JSON.stringify(value));
  if (type === 'secret') {
    if (value === null || isLiteralSecret(value)) return literal(HIDDEN_VALUE);
    return { kind: 'secret', name: nameNode((value as SecretReference).name), position };
  }
  if (typeof value === 'number') {
    if (type === 'bytes') return literal(bytesText(value));
    return type === 'interval' ? literal(intervalText(value)) : { kind: 'number', text: String(value), position };
  }
  if (typeof value === 'boolean') return { kind: 'word', text: String(value), position };
  return literal(typeof value === 'string' ? value : '');
}

/** A secret that stood in the statement itself. */
function isLiteralSecret(value: unknown): boolean {
  return value instanceof SecretValue || (value as Partial<SecretReference> | null)?.unnamed === true;
}

const BYTE_UNITS = [
  ['GB', 1024 ** 3],
  ['MB', 1024 ** 2],
  ['kB', 1024],
] as const;

/** In the largest unit that is exact. */
function bytesText(bytes: number): string {
  const found = BYTE_UNITS.find(([, size]) => bytes >= size && bytes % size === 0);
  return found === undefined ? `${bytes}B` : `${bytes / found[1]}${found[0]}`;
}

const INTERVAL_UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** In the largest unit that is exact. */
function intervalText(ms: number): string {
  const found = INTERVAL_UNITS.find(([, size]) => ms >= size && ms % size === 0);
  return found === undefined ? `${ms}ms` : `${ms / found[1]}${found[0]}`;
}
