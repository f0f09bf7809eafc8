import { destinationConflict } from '../model/destination-rules.ts';
import { formatConflict, type FormattedStream } from '../model/format-rules.ts';
import {
  applyOptionChanges,
  conflictOf,
  type OptionChanges,
  type OptionConflict,
  type OptionSet,
} from '../model/option-changes.ts';
import { SecretValue, type OptionSecret } from '../model/secret.ts';
import { SECRET_OPTION_NAMES, secretFault, type SecretOptionKey } from '../model/secret-use.ts';
import { DEFAULT_STREAM_OPTIONS, type EndpointOptions } from '../model/stream-options.ts';
import type { OptionKey, StreamOptions } from '../model/stream-options.ts';
import type { Destination } from '../model/stream.ts';
import { PgError } from '../postgres/sqlstate.ts';
import type { Name, Option, OptionValue } from './ast.ts';
import { findOption, headerFault, headerOf, optionOf, readOption } from './options.ts';
import type { StreamOption } from './option-table.ts';
import { shorten } from './syntax-error.ts';
import { checkLength, invalid, type Values } from './values.ts';

/** What of a new stream its format has to go with, and where the format stands. */
type StreamForm = Omit<FormattedStream, 'destination' | keyof OptionSet> & { readonly position: number | undefined };

/** The options that a new stream has. `position`: where the destination stands. */
export function createdOptions(
  given: readonly Option[],
  values: Values,
  destination: Destination & { readonly position?: number },
  form: StreamForm | null = null,
): OptionSet {
  const reading = new Reading(given, values);
  const before: OptionSet = { options: DEFAULT_STREAM_OPTIONS, givenOptions: [] };
  reading.refuseConflict({ ...DEFAULT_STREAM_OPTIONS, ...reading.set, headers: reading.mergedHeaders() });
  const created = applyOptionChanges(before, reading.changes());
  reading.refuseFor(destination, created);
  if (form !== null) reading.refuseFormat({ ...form, destination, ...created }, form.position ?? destination.position);
  return created;
}

/** What a new endpoint has. */
export function endpointOptions(given: readonly Option[], values: Values): EndpointOptions {
  const { options, givenOptions } = createdOptions(given, values, ANY_WEBHOOK);
  return Object.freeze(Object.fromEntries(givenOptions.map((key) => [key, options[key]])));
}

/** What belongs to an endpoint belongs to whichever webhook it is. */
const ANY_WEBHOOK: Destination = { kind: 'webhook', url: '' };

/** What SET asks for. Fixed options are refused; what cannot stand together shows when it is applied. */
export function changedOptions(given: readonly Option[], values: Values): OptionChanges {
  for (const { name } of given) refuseFixed(name);
  const reading = new Reading(given, values);
  reading.refuseConflict({ ...DEFAULT_STREAM_OPTIONS, ...onlyAuthentication(reading.set) });
  return reading.changes();
}

/** Two of them in one SET are wrong whatever the stream has. */
function onlyAuthentication({ bearerToken = null, basicAuth = null, authHeader = null }: Partial<StreamOptions>) {
  return { bearerToken, basicAuth, authHeader };
}

/** What RESET asks for. */
export function resetOptions(names: readonly Name[]): OptionChanges {
  const reset: OptionKey[] = [];
  const resetHeaders: string[] = [];
  for (const name of names) {
    refuseFixed(name);
    const header = headerOf(name.text);
    if (header === null) reset.push(findOption(name.text)!.key);
    else resetHeaders.push(header);
  }
  return { set: {}, setHeaders: {}, reset, resetHeaders };
}

function refuseFixed({ text, position }: Name): void {
  if (headerOf(text) !== null || findOption(text)?.isFixed !== true) return;
  throw invalid(`option "${text}" cannot be changed`, position, 'It is said when the stream is created.');
}

/** The values of a list of options, and where each of them stands. */
class Reading {
  readonly set: Partial<Record<OptionKey, unknown>> & Partial<StreamOptions> = {};
  readonly #headers = new Map<string, string>();
  readonly #positions = new Map<OptionKey, number>();
  readonly #values: Values;

  constructor(given: readonly Option[], values: Values) {
    this.#values = values;
    for (const option of given) this.#take(option);
  }

  #take({ name, value }: Option): void {
    const position = value?.position ?? name.position;
    const header = headerOf(name.text);
    const row = header === null ? findOption(name.text)! : null;
    if (value === null && row?.type !== 'bool') {
      const shown = shorten(name.text);
      throw invalid(`option "${shown}" needs a value`, position, undefined, `Write ${shown} = value.`);
    }
    if (header !== null) return this.#takeHeader(header, value!, position);
    // As in Postgres, an option that is only named is on.
    const typed = value === null ? true : this.#typed(name.text, row!, value);
    Object.assign(this.set, { [row!.key]: typed });
    this.#positions.set(row!.key, position);
  }

  #takeHeader(header: string, value: OptionValue, position: number): void {
    if (value.kind === 'secret') throw secretNotHere(`header.${shorten(header)}`, position);
    const text = this.#textOf(value);
    const fault = headerFault(header, text);
    if (fault !== null) throw invalid(fault.message, position, fault.detail, fault.hint);
    this.#headers.set(header, text);
    this.#positions.set('headers', position);
  }

  #typed(name: string, row: StreamOption, value: OptionValue): unknown {
    if (row.type === 'secret') return this.#secret(name, row, value);
    if (value.kind === 'secret') throw secretNotHere(name, value.position);
    const reading = readOption(name, this.#textOf(value));
    if ('value' in reading) return reading.value;
    const { message, detail, hint } = reading.fault;
    throw invalid(message, value.position, detail, hint);
  }

  #secret(name: string, row: StreamOption, value: OptionValue): OptionSecret {
    if (value.kind === 'secret') {
      checkLength(value.name.text, value.name.position);
      return Object.freeze({ kind: 'secret', name: value.name.text });
    }
    if (value.kind === 'word' || value.kind === 'number') {
      const detail = 'Valid values are SECRET name, and strings.';
      throw invalid(`invalid value for option "${name}"`, value.position, detail, 'Write SECRET before its name.');
    }
    const text = this.#values.text(value);
    if (text === '') throw invalid(`option "${name}" cannot be empty`, value.position);
    const secret = new SecretValue(text);
    const fault = isSecretOption(row.key) ? secretFault(row.key, secret) : null;
    if (fault === null) return secret;
    throw invalid(`invalid value for option "${name}"`, value.position, sentence(fault));
  }

  #textOf(value: Exclude<OptionValue, { kind: 'secret' }>): string {
    return value.kind === 'number' || value.kind === 'word' ? value.text : this.#values.text(value);
  }

  mergedHeaders(): StreamOptions['headers'] {
    const headers = this.set.headers ?? {};
    const named = new Set(Object.keys(headers).map((name) => name.toLowerCase()));
    for (const header of this.#headers.keys()) {
      if (!named.has(header.toLowerCase())) continue;
      const message = `header "${shorten(header)}" specified more than once`;
      throw invalid(message, this.#positions.get('headers'), 'It stands in headers too.');
    }
    return { ...headers, ...Object.fromEntries(this.#headers) };
  }

  refuseConflict(options: StreamOptions): void {
    const conflict: OptionConflict | null = conflictOf(options);
    if (conflict === null) return;
    const positions = conflict.keys.flatMap((key) => this.#positions.get(key) ?? []);
    throw invalid(conflict.message, Math.max(...positions), conflict.detail, conflict.hint ?? undefined);
  }

  /** 22023 for what the destination has no use for, or cannot do without. */
  refuseFor(destination: Destination & { readonly position?: number }, options: OptionSet): void {
    const conflict = destinationConflict(destination, options, (key) => optionOf(key).name);
    if (conflict === null) return;
    const positions = conflict.keys.flatMap((key) => this.#positions.get(key) ?? []);
    const position = positions.length === 0 ? destination.position : Math.max(...positions);
    throw invalid(conflict.message, position, conflict.detail, conflict.hint ?? undefined);
  }

  /** 0A000 or 22023 for what the format cannot go with. */
  refuseFormat(stream: FormattedStream, formatPosition: number | undefined): void {
    const conflict = formatConflict(stream, (key) => optionOf(key).name);
    if (conflict === null) return;
    const [position = formatPosition] = conflict.keys.flatMap((key) => this.#positions.get(key) ?? []);
    throw new PgError(conflict.condition, conflict.message, { position, hint: conflict.hint });
  }

  changes(): OptionChanges {
    this.mergedHeaders();
    return { set: this.set, setHeaders: Object.fromEntries(this.#headers), reset: [], resetHeaders: [] };
  }
}

function secretNotHere(name: string, position: number): PgError {
  return invalid(`option "${name}" does not take a secret`, position);
}

function isSecretOption(key: OptionKey): key is SecretOptionKey {
  return key in SECRET_OPTION_NAMES;
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
