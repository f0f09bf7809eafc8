import { ENDPOINT_OPTION_KEYS } from '../model/stream-options.ts';
import type { OptionKey, StreamOptions } from '../model/stream-options.ts';
import { formatLsn, parseLsn } from '../postgres/lsn.ts';
import { STREAM_OPTIONS } from './option-table.ts';
import type { StreamOption } from './option-table.ts';
import {
  isRefusal,
  readBoolean,
  readBytes,
  readHeader,
  readHeaders,
  readInteger,
  readIntervalMs,
  readSecondsMs,
} from './option-types.ts';
import type { Refusal } from './option-types.ts';

const BY_NAME: ReadonlyMap<string, { readonly row: StreamOption; readonly unit: 's' | undefined }> = new Map(
  STREAM_OPTIONS.flatMap((row) => [
    [row.name, { row, unit: undefined }] as const,
    ...row.aliases.map((alias) => [alias.name, { row, unit: alias.unit }] as const),
  ]),
);

/** Every name that may be written, aliases included. */
export const OPTION_NAMES: readonly string[] = [...BY_NAME.keys()];

const ENDPOINT_KEYS: ReadonlySet<OptionKey> = new Set(ENDPOINT_OPTION_KEYS);

/** The option that a name or alias means; null for none. */
export function findOption(name: string): StreamOption | null {
  return BY_NAME.get(name)?.row ?? null;
}

/** The option of a key: each has one. */
export function optionOf(key: OptionKey): StreamOption {
  return BY_KEY.get(key)!;
}

const BY_KEY: ReadonlyMap<OptionKey, StreamOption> = new Map(STREAM_OPTIONS.map((row) => [row.key, row]));

export function isEndpointOption({ key }: StreamOption): boolean {
  return ENDPOINT_KEYS.has(key);
}

const HEADER_PREFIX = 'header.';

/** The header of an option called `"header.X-Foo"`, or null. */
export function headerOf(optionName: string): string | null {
  const isOne = optionName.slice(0, HEADER_PREFIX.length).toLowerCase() === HEADER_PREFIX;
  return isOne ? optionName.slice(HEADER_PREFIX.length) : null;
}

/** A value that an option does not take: the three parts of the error 22023. */
export interface OptionFault {
  readonly message: string;
  readonly detail: string;
  readonly hint: string | undefined;
}

/** An option's typed value, or what is wrong with it. */
export type OptionReading = { readonly value: StreamOptions[OptionKey] } | { readonly fault: OptionFault };

/**
 * Reads what is written for an option other than a secret. `name` is the option's or an alias of it, `text` the value
 * without its quotes.
 */
export function readOption(name: string, text: string): OptionReading {
  const { row, unit } = BY_NAME.get(name)!;
  const value = unit === 's' ? readSecondsMs(text) : readText(row, text);
  const detail = `Valid values are ${validValues(row)}.`;
  // A header's value may be a credential, and a message goes into the log.
  const shown = row.type === 'json' || row.type === 'secret' ? '' : `: "${text.slice(0, MAX_SHOWN)}"`;
  if (isRefusal(value)) {
    const message = `invalid value for option "${name}"${shown}`;
    return { fault: { message, detail, hint: value.hint ?? undefined } };
  }
  if (typeof value === 'number' && !isInRange(row, value)) {
    return { fault: { message: `value out of range for option "${name}"${shown}`, detail, hint: undefined } };
  }
  return { value: value as StreamOptions[OptionKey] };
}

/** Reads what is written for `"header.X-Foo"`: what is wrong with it, or null. The value is in no message. */
export function headerFault(header: string, text: string): OptionFault | null {
  const refusal = readHeader(header, text);
  if (refusal === null) return null;
  return {
    message: `invalid value for option "header.${header.slice(0, MAX_SHOWN)}"`,
    detail: 'Valid values are printable ASCII.',
    hint: refusal.hint ?? undefined,
  };
}

const MAX_SHOWN = 100;

function readText(row: StreamOption, text: string): unknown {
  switch (row.type) {
    case 'int':
      return readInteger(text);
    case 'bool':
      return readBoolean(text);
    case 'bytes':
      return readBytes(text);
    case 'interval':
      // Zero needs no unit, in Postgres too.
      return row.range?.[0].startsWith('0') === true && text.trim() === '0' ? 0 : readIntervalMs(text);
    case 'json':
      return readHeaders(text);
    case 'enum': {
      const found = row.values.find((value) => value.toLowerCase() === text.trim().toLowerCase());
      return found ?? NO_HINT;
    }
    case 'text':
      return row.pattern!.test.test(text) ? text : NO_HINT;
    case 'pg_lsn': {
      const lsn = parseLsn(text.trim());
      return lsn === null ? NO_HINT : formatLsn(lsn);
    }
    case 'secret':
      return text;
  }
}

const NO_HINT: Refusal = { hint: null };

function isInRange(row: StreamOption, value: number): boolean {
  if (row.range === null) return true;
  const [min, max] = row.range.map((written) => Number(readText(row, written)));
  return value >= min! && value <= max!;
}

function validValues(row: StreamOption): string {
  const between = row.range === null ? '' : ` from ${written(row, row.range[0])} to ${written(row, row.range[1])}`;
  switch (row.type) {
    case 'int':
      return `whole numbers${between}`;
    case 'bytes':
      return `sizes${between}`;
    case 'interval':
      return `intervals${between}`;
    case 'bool':
      return 'true and false';
    case 'enum':
      return row.values.join(', ');
    case 'json':
      return 'JSON objects whose values are strings';
    case 'text':
      return row.pattern!.words;
    case 'pg_lsn':
      return `positions in the log, as in '16/B374D848'`;
    case 'secret':
      return 'SECRET name, and strings';
  }
}

/** As it stands in a statement. */
function written(row: StreamOption, value: string): string {
  return row.type === 'int' || row.type === 'bool' || row.type === 'enum' ? value : `'${value}'`;
}

/** The options as a Markdown table. */
export function optionReference(): string {
  const lines = ['| option | type | default | range | meaning |', '| --- | --- | --- | --- | --- |'];
  for (const row of STREAM_OPTIONS) {
    const range =
      row.range === null ? row.values.join(', ') : `${written(row, row.range[0])} – ${written(row, row.range[1])}`;
    const aliases = row.aliases.map((alias) => `\`${alias.name}\`${alias.unit === 's' ? ' (number of seconds)' : ''}`);
    const notes = [
      row.text,
      ...(aliases.length === 0 ? [] : [`also ${aliases.join(', ')}`]),
      ...(row.isFixed ? ['*fixed*'] : []),
      ...(row.destination === 'kafka' ? ['Kafka only'] : []),
      ...(isEndpointOption(row) ? ['also at an endpoint'] : []),
    ];
    const byDefault = row.default === null ? '–' : `\`${written(row, row.default)}\``;
    lines.push(`| \`${row.name}\` | ${row.type} | ${byDefault} | ${range} | ${notes.join('; ')} |`);
  }
  return `${lines.join('\n')}\n`;
}
