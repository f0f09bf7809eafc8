import { nearest } from '../base/nearest.ts';
import { isHeaderName, isHeaderValue, isReservedHeader } from '../model/header-rules.ts';
import { PLACEHOLDER_NAMES, unknownPlaceholder } from '../model/placeholders.ts';
import { MAX_HEADERS_BYTES } from '../model/stream-options.ts';

/*
  The types of option values. Each reader takes the value's text and gives the typed value, or what is wrong with it.
*/

/** What is valid instead; becomes the error's HINT. Null where the option's own DETAIL says all. */
export interface Refusal {
  readonly hint: string | null;
}

const REFUSED: Refusal = { hint: null };

export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'hint' in value;
}

/** Decimal digits with a sign. */
export function readInteger(text: string): number | Refusal {
  const trimmed = text.trim();
  return /^[+-]?[0-9]{1,15}$/.test(trimmed) ? Number(trimmed) + 0 : REFUSED;
}

/** As Postgres reads a boolean: https://www.postgresql.org/docs/current/datatype-boolean.html */
export function readBoolean(text: string): boolean | Refusal {
  const word = text.trim().toLowerCase();
  if (word === '1' || word === 'on' || isPrefixOf(word, 'true') || isPrefixOf(word, 'yes')) return true;
  const isFalse =
    word === '0' || word === 'of' || word === 'off' || isPrefixOf(word, 'false') || isPrefixOf(word, 'no');
  return isFalse ? false : REFUSED;
}

function isPrefixOf(word: string, whole: string): boolean {
  return word !== '' && whole.startsWith(word);
}

const UNIT_BYTES: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['B', 1],
  ['kB', 1024],
  ['MB', 1024 ** 2],
  ['GB', 1024 ** 3],
]);

/**
 * A size as Postgres's settings take it: powers of 1024, the units' case kept; bare numbers are bytes.
 * https://www.postgresql.org/docs/current/config-setting.html#CONFIG-SETTING-NAMES-VALUES
 */
export function readBytes(text: string): number | Refusal {
  const match = /^\s*([0-9]{1,15}(?:\.[0-9]{0,9})?)\s*([A-Za-z]*)\s*$/.exec(text);
  const unit = UNIT_BYTES.get(match?.[2] ?? 'none');
  if (!match || unit === undefined) return { hint: 'Valid units are "B", "kB", "MB", and "GB".' };
  return Math.round(Number(match[1]) * unit);
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const UNIT_MS = new Map<string, number>();
for (const [names, ms] of [
  ['ms msec msecs millisecond milliseconds', 1],
  ['s sec secs second seconds', SECOND_MS],
  ['m min mins minute minutes', MINUTE_MS],
  ['h hr hrs hour hours', HOUR_MS],
  ['d day days', DAY_MS],
] as const) {
  for (const name of names.split(' ')) UNIT_MS.set(name, ms);
}

const INTERVAL_HINT = `Write the unit, as in '500ms', '30s', '5min', '24h' or '1d', or use the form 'HH:MM:SS'.`;
const INTERVAL_PART = /\s*(?:(\d{1,9}):(\d{2})(?::(\d{2}(?:\.\d{1,9})?))?|(\d{1,12}(?:\.\d{1,9})?)\s*([A-Za-z]+))\s*/y;

/** Milliseconds of an interval: numbers with units, and `HH:MM` or `HH:MM:SS`. A number without unit is refused. */
export function readIntervalMs(text: string): number | Refusal {
  let total = 0;
  INTERVAL_PART.lastIndex = 0;
  while (INTERVAL_PART.lastIndex < text.length) {
    const match = INTERVAL_PART.exec(text);
    if (!match) return { hint: INTERVAL_HINT };
    const [, hours, minutes, seconds, count, unit] = match;
    if (unit === undefined) {
      if (Number(minutes) > 59 || Number(seconds ?? 0) >= 60) return { hint: INTERVAL_HINT };
      total += Number(hours) * HOUR_MS + Number(minutes) * MINUTE_MS + Number(seconds ?? 0) * SECOND_MS;
    } else {
      const unitMs = UNIT_MS.get(unit.toLowerCase());
      if (unitMs === undefined) return { hint: INTERVAL_HINT };
      total += Number(count) * unitMs;
    }
  }
  return text.trim() === '' ? { hint: INTERVAL_HINT } : Math.round(total);
}

/** Milliseconds of a bare number of seconds, for options whose name has the unit. */
export function readSecondsMs(text: string): number | Refusal {
  const trimmed = text.trim();
  return /^[0-9]{1,12}(\.[0-9]{1,9})?$/.test(trimmed)
    ? Math.round(Number(trimmed) * SECOND_MS)
    : { hint: 'Give a number of seconds.' };
}

/** Besides those that nobody may set: it has an option of its own. */
const IDEMPOTENCY_HEADER = 'idempotency-key';

/** A JSON object of strings that can be sent as request headers and do not collide with those of delivery's own. */
export function readHeaders(text: string): Readonly<Record<string, string>> | Refusal {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { hint: `Write a JSON object, as in '{"Authorization": "Bearer …"}'.` };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { hint: `Write a JSON object, as in '{"Authorization": "Bearer …"}'.` };
  }
  const entries = Object.entries(value);
  const seen = new Set<string>();
  let bytes = 0;
  for (const [name, content] of entries) {
    const wrong = headerFault(name, content, seen);
    if (wrong !== null) return { hint: wrong };
    seen.add(name.toLowerCase());
    bytes += name.length + String(content).length;
  }
  if (bytes > MAX_HEADERS_BYTES) return { hint: `All headers together have at most ${MAX_HEADERS_BYTES} bytes.` };
  return Object.freeze(Object.fromEntries(entries) as Record<string, string>);
}

/** What is wrong with one static header, or null. */
export function readHeader(name: string, content: string): Refusal | null {
  const tooLong = name.length + content.length > MAX_HEADERS_BYTES;
  const wrong = tooLong
    ? `All headers together have at most ${MAX_HEADERS_BYTES} bytes.`
    : headerFault(name, content, NONE);
  return wrong === null ? null : { hint: wrong };
}

const NONE: ReadonlySet<string> = new Set();

function headerFault(name: string, content: unknown, seen: ReadonlySet<string>): string | null {
  // Never the value: it may be a credential.
  const shown = JSON.stringify(name.slice(0, 100));
  if (!isHeaderName(name)) return `${shown} is not a header name.`;
  if (isReservedHeader(name) || name.toLowerCase() === IDEMPOTENCY_HEADER) {
    return `The header ${shown} is set by the delivery itself.`;
  }
  if (seen.has(name.toLowerCase())) return `The header ${shown} is given twice; the case of names does not matter.`;
  if (typeof content !== 'string') return `The value of header ${shown} is not a string.`;
  if (!isHeaderValue(content)) return `The value of header ${shown} has characters other than printable ASCII.`;
  const unknown = unknownPlaceholder(content);
  if (unknown === null) return null;
  const near = nearest(unknown, PLACEHOLDER_NAMES);
  const instead = near === null ? `There are ${PLACES}.` : `did you mean {${near}}?`;
  return `The value of header ${shown} has a word in braces that stands for nothing. ${instead}`;
}

const PLACES = [...PLACEHOLDER_NAMES, 'key.column'].map((name) => `{${name}}`).join(', ');
