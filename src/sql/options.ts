import type { StreamOptions } from '../model/stream.ts';
import { isRefusal, readBytes, readHeaders, readInteger, readIntervalMs, readSecondsMs } from './option-types.ts';
import type { Refusal } from './option-types.ts';

export type OptionType = 'int' | 'bytes' | 'interval' | 'json';

interface OptionAlias {
  readonly name: string;
  /** A bare number of seconds, where the alias has the unit in its name. */
  readonly unit?: 's';
}

/** One option of a stream. The README's reference is printed from these. */
export interface StreamOption {
  readonly name: string;
  readonly aliases: readonly OptionAlias[];
  readonly type: OptionType;
  /** As one would write it. */
  readonly default: string;
  /** As one would write them; of a number, size or interval. */
  readonly range: readonly [min: string, max: string] | null;
  readonly text: string;
}

type Value = StreamOptions[keyof StreamOptions];

interface Row extends StreamOption {
  readonly key: keyof StreamOptions;
}

/** Every option of `CREATE CDC STREAM … WITH (…)`. */
export const STREAM_OPTIONS: readonly StreamOption[] = Object.freeze([
  {
    name: 'batch_max_events',
    key: 'batchMaxEvents',
    aliases: [{ name: 'batch_size' }, { name: 'max_batch_size' }],
    type: 'int',
    default: '1',
    range: ['1', '10000'],
    text: 'events in one request at most',
  },
  {
    name: 'batch_max_bytes',
    key: 'batchMaxBytes',
    aliases: [{ name: 'max_payload_bytes' }],
    type: 'bytes',
    default: '1MB',
    range: ['1kB', '64MB'],
    text: 'bytes of one request body at most; a single larger event is sent alone',
  },
  {
    name: 'max_in_flight',
    key: 'maxInFlight',
    aliases: [],
    type: 'int',
    default: '16',
    range: ['1', '10000'],
    text: 'concurrent requests of the stream at most; two never share a key',
  },
  {
    name: 'request_timeout',
    key: 'requestTimeoutMs',
    aliases: [{ name: 'timeout' }, { name: 'timeout_secs', unit: 's' }],
    type: 'interval',
    default: '30s',
    range: ['1ms', '1h'],
    text: 'from the beginning of a request to the end of its answer',
  },
  {
    name: 'max_retries',
    key: 'maxRetries',
    aliases: [],
    type: 'int',
    default: '0',
    range: ['0', '1000000'],
    text: 'retries of a request that fails; 0 is unlimited',
  },
  {
    name: 'initial_backoff',
    key: 'initialBackoffMs',
    aliases: [],
    type: 'interval',
    default: '1s',
    range: ['1ms', '1d'],
    text: 'wait before the first retry; doubles with each, ±20 % jitter',
  },
  {
    name: 'max_backoff',
    key: 'maxBackoffMs',
    aliases: [],
    type: 'interval',
    default: '5min',
    range: ['1ms', '7d'],
    text: 'longest wait between two retries',
  },
  {
    name: 'headers',
    key: 'headers',
    aliases: [],
    type: 'json',
    default: '{}',
    range: null,
    text: 'JSON object of static request headers',
  },
] satisfies readonly Row[]);

const ROWS = STREAM_OPTIONS as readonly Row[];
const BY_NAME: ReadonlyMap<string, { readonly row: Row; readonly unit: 's' | undefined }> = new Map(
  ROWS.flatMap((row) =>
    [{ name: row.name }, ...row.aliases].map((alias: OptionAlias) => [alias.name, { row, unit: alias.unit }] as const),
  ),
);

/** Every name that may be written, aliases included. */
export const OPTION_NAMES: readonly string[] = [...BY_NAME.keys()];

/** The option that a name or alias means; null for none. */
export function findOption(name: string): StreamOption | null {
  return BY_NAME.get(name)?.row ?? null;
}

/** A value that an option does not take: the three parts of the error 22023. */
export interface OptionFault {
  readonly message: string;
  readonly detail: string;
  readonly hint: string | undefined;
}

/**
 * Sets in `options` what `name` (an option's or alias's) means to `text`, the value as written without its quotes. Null,
 * or what is wrong with the value.
 */
export function setOption(options: MutableOptions, name: string, text: string): OptionFault | null {
  const { row, unit } = BY_NAME.get(name)!;
  const value = unit === 's' ? readSecondsMs(text) : READERS[row.type](text);
  // A header's value may be a credential, and a message goes into the log.
  const shown = row.type === 'json' ? '' : `: "${text.slice(0, MAX_SHOWN)}"`;
  const detail = `Valid values are ${validValues(row)}.`;
  if (isRefusal(value)) {
    return { message: `invalid value for option "${name}"${shown}`, detail, hint: value.hint ?? undefined };
  }
  if (typeof value === 'number' && !isInRange(row, value)) {
    return { message: `value out of range for option "${name}"${shown}`, detail, hint: undefined };
  }
  Object.assign(options, { [row.key]: value });
  return null;
}

/** The options in the making. */
export type MutableOptions = { -readonly [Key in keyof StreamOptions]: StreamOptions[Key] };

const MAX_SHOWN = 100;

const READERS: Readonly<Record<OptionType, (text: string) => Value | Refusal>> = {
  int: readInteger,
  bytes: readBytes,
  interval: readIntervalMs,
  json: readHeaders,
};

function isInRange(row: Row, value: number): boolean {
  if (row.range === null) return true;
  const [min, max] = row.range.map((written) => Number(READERS[row.type](written)));
  return value >= min! && value <= max!;
}

function validValues(row: Row): string {
  const between = row.range === null ? '' : ` from ${written(row, row.range[0])} to ${written(row, row.range[1])}`;
  switch (row.type) {
    case 'int':
      return `whole numbers${between}`;
    case 'bytes':
      return `sizes${between}`;
    case 'interval':
      return `intervals${between}`;
    case 'json':
      return 'JSON objects whose values are strings';
  }
}

/** As it stands in a statement. */
function written(row: StreamOption, value: string): string {
  return row.type === 'int' ? value : `'${value}'`;
}

/** The options that a stream has when nothing is said. */
export function defaultOptions(): MutableOptions {
  return Object.fromEntries(ROWS.map((row) => [row.key, READERS[row.type](row.default)])) as MutableOptions;
}

/** The options as a Markdown table. */
export function optionReference(): string {
  const lines = ['| option | type | default | range | meaning |', '| --- | --- | --- | --- | --- |'];
  for (const row of ROWS) {
    const range = row.range === null ? '' : `${written(row, row.range[0])} – ${written(row, row.range[1])}`;
    const aliases = row.aliases.map((alias) => `\`${alias.name}\`${alias.unit === 's' ? ' (number of seconds)' : ''}`);
    const also = aliases.length === 0 ? '' : `; also ${aliases.join(', ')}`;
    lines.push(`| \`${row.name}\` | ${row.type} | \`${written(row, row.default)}\` | ${range} | ${row.text}${also} |`);
  }
  return `${lines.join('\n')}\n`;
}
