import { MAX_NAME_BYTES } from '../postgres/identifier.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { Destination, StreamOptions } from '../model/stream.ts';
import type { CreateStream, Literal, Name, Option, Parameter, Statement } from './ast.ts';
import type { Command } from './command.ts';
import { defaultOptions, setOption } from './options.ts';

/** Values of `$1`, `$2`, … in text form. */
type Parameters = readonly (string | null)[];

/** Longer ones are refused by common servers. */
const MAX_URL_LENGTH = 8192;

/**
 * What the statement asks for, typed and with every default filled in. Looks nothing up. Errors are `PgError` with a
 * position: 42P02 a parameter without value, 22023 a NULL or a value that its place does not take, 42622 a name longer than
 * Postgres's names, 0A000 what is understood but not supported.
 */
export function analyze(statement: Statement, parameters: Parameters): Command {
  switch (statement.kind) {
    case 'create-stream':
      return analyzeCreate(statement, parameters);
    case 'alter-stream':
      return { kind: 'alter-stream', name: checkedName(statement.name), action: statement.action };
    case 'drop-streams':
      return { kind: 'drop-stream', names: statement.names.map(checkedName), ifExists: statement.ifExists };
    case 'show-streams':
      return { kind: 'show-streams' };
    case 'show-stream-status':
      return { kind: 'show-stream-status', name: checkedName(statement.name) };
  }
}

/** How many parameters a Bind must bring: the highest `$n` that occurs. */
export function parameterCount(statement: Statement): number {
  if (statement.kind !== 'create-stream') return 0;
  const { name, destination, options } = statement;
  const places = [
    name,
    ...(destination.kind === 'webhook' ? [destination.url] : [destination.brokers, destination.topic]),
    ...options.map((option) => option.value),
  ];
  let highest = 0;
  for (const place of places) {
    if (place !== null && 'kind' in place && place.kind === 'parameter') highest = Math.max(highest, place.index);
  }
  return highest;
}

function analyzeCreate(statement: CreateStream, parameters: Parameters): Command {
  const { table, format, envelope } = statement;
  if (format !== null && format.value !== 'json') {
    const message = `FORMAT ${format.value.toUpperCase()} is not supported yet`;
    throw new PgError('feature_not_supported', message, { position: format.position, hint: 'Use FORMAT JSON.' });
  }
  if (envelope !== null && envelope.value !== 'native') {
    const message = `ENVELOPE ${envelope.value.toUpperCase()} is not supported yet`;
    throw new PgError('feature_not_supported', message, { position: envelope.position, hint: 'Use ENVELOPE NATIVE.' });
  }
  checkLength(table.schema ?? '', table.position);
  checkLength(table.name, table.position);
  return {
    kind: 'create-stream',
    name: streamName(statement.name, parameters),
    ifNotExists: statement.ifNotExists,
    table,
    destination: analyzeDestination(statement, parameters),
    options: analyzeOptions(statement.options, parameters),
  };
}

function streamName(name: Name | Parameter | null, parameters: Parameters): string | null {
  if (name === null) return null;
  if ('text' in name) return checkedName(name);
  const text = valueOf(name, parameters);
  if (text === '') throw invalid('a stream name cannot be empty', name.position);
  checkLength(text, name.position);
  return text;
}

function checkedName(name: Name): string {
  checkLength(name.text, name.position);
  return name.text;
}

function checkLength(name: string, position: number): void {
  const bytes = Buffer.byteLength(name);
  if (bytes <= MAX_NAME_BYTES) return;
  throw new PgError('name_too_long', `identifier too long: ${bytes} bytes`, {
    detail: `Names have at most ${MAX_NAME_BYTES} bytes.`,
    position,
  });
}

function valueOf(literal: Literal, parameters: Parameters): string {
  if (literal.kind === 'string') return literal.value;
  const value = parameters[literal.index - 1];
  if (value === undefined) {
    throw new PgError('undefined_parameter', `there is no parameter $${literal.index}`, { position: literal.position });
  }
  if (value === null) throw invalid(`parameter $${literal.index} must not be null`, literal.position);
  return value;
}

function analyzeDestination({ destination }: CreateStream, parameters: Parameters): Destination {
  if (destination.kind === 'kafka') {
    throw new PgError('feature_not_supported', 'TO KAFKA is not supported yet', {
      position: destination.position,
      hint: `Use TO WEBHOOK 'https://…'.`,
    });
  }
  const url = valueOf(destination.url, parameters);
  checkUrl(url, destination.url.position);
  return { kind: 'webhook', url };
}

/** The URL itself is in no message: its path or query may be a credential. */
function checkUrl(url: string, position: number): void {
  const refuse = (detail: string, hint?: string): PgError => invalid('invalid webhook URL', position, detail, hint);
  const valid = `A webhook URL is absolute, as in 'https://example.com/hook'.`;
  if (url.length > MAX_URL_LENGTH) throw refuse(`The URL is longer than ${MAX_URL_LENGTH} characters.`);
  // The parser of URLs would quietly strip them.
  if (/[\s\p{Cc}]/u.test(url)) throw refuse('The URL contains white space or control characters.');
  const parsed = URL.parse(url);
  if (parsed === null) throw refuse(valid);
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw refuse('The scheme of a webhook URL is http or https.');
  }
  // "http:host" and "http:/host" too are URLs to the parser.
  if (!/^https?:\/\//i.test(url)) throw refuse(valid);
  if (parsed.username !== '' || parsed.password !== '') {
    const hint = `Send credentials in a header, as in WITH (headers = '{"Authorization": "…"}').`;
    throw refuse('A webhook URL has no user name or password.', hint);
  }
  if (url.includes('#')) throw refuse('A webhook URL has no fragment: it would not be sent.');
}

function analyzeOptions(given: readonly Option[], parameters: Parameters): StreamOptions {
  const options = defaultOptions();
  let backoffPosition: number | undefined;
  for (const { name, value } of given) {
    const position = value?.position ?? name.position;
    if (value === null) {
      throw invalid(`option "${name.text}" needs a value`, position, undefined, `Write ${name.text} = value.`);
    }
    const text = value.kind === 'number' || value.kind === 'word' ? value.text : valueOf(value, parameters);
    const fault = setOption(options, name.text, text);
    if (fault !== null) throw invalid(fault.message, position, fault.detail, fault.hint);
    if (name.text === 'initial_backoff' || name.text === 'max_backoff') backoffPosition = position;
  }
  if (options.initialBackoffMs > options.maxBackoffMs) {
    const detail = `initial_backoff is ${options.initialBackoffMs} ms and max_backoff ${options.maxBackoffMs} ms.`;
    throw invalid('initial_backoff is longer than max_backoff', backoffPosition, detail);
  }
  return Object.freeze(options);
}

function invalid(message: string, position: number | undefined, detail?: string, hint?: string): PgError {
  return new PgError('invalid_parameter_value', message, { position, detail, hint });
}
