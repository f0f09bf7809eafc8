import { trimSpace } from './decimal.ts';
import { EvaluationError } from './evaluation-error.ts';

/*
  Dates and times as ISO 8601 and as Postgres prints them with `datestyle=ISO` and `timezone=UTC`:

    date          2026-01-05    44-03-15 BC    12026-01-05    infinity    -infinity
    time          10:00:00.123456
    timestamp     2026-01-05 10:00:00.5    (or a T between the two)
    timestamptz   2026-01-05 10:00:00.5+00    +05:45    Z

  A date is days since 2000-01-01, a time microseconds since midnight, a timestamp microseconds since 2000-01-01.
  https://www.postgresql.org/docs/current/datatype-datetime.html
*/

export const MICROS_PER_DAY = 86_400_000_000n;
/** A timestamp's infinities; finite ones lie between. */
export const TIMESTAMP_INFINITY = 2n ** 63n - 1n;
export const TIMESTAMP_MINUS_INFINITY = -(2n ** 63n);

const JULIAN_2000 = 2_451_545;
const DATE_MIN = -JULIAN_2000;
/** 5874898-01-01 and 294277-01-01, exclusive. */
const DATE_END = 2_147_483_494 - JULIAN_2000;
export const TIMESTAMP_MIN = BigInt(DATE_MIN) * MICROS_PER_DAY;
export const TIMESTAMP_END = 9_223_371_331_200_000_000n;

const DATE = /^(\d{4,7})-(\d{2})-(\d{2})( BC)?$/i;
const TIME = /^(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?$/;
const TIMESTAMP =
  /^(\d{4,7}-\d{2}-\d{2})(?:[ T]+(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(?: ?(Z|UTC|[+-]\d{2}(?::?\d{2}(?::\d{2})?)?))?)?( BC)?$/i;
const ZONE = /^([+-])(\d{2})(?::?(\d{2})(?::(\d{2}))?)?$/;

function malformed(type: string): EvaluationError {
  return new EvaluationError('invalid_datetime_format', `invalid input syntax for type ${type}`);
}

function outside(what: string): EvaluationError {
  return new EvaluationError('datetime_field_overflow', `${what} out of range`);
}

/** Days since 2000-01-01 of the proleptic Gregorian calendar; `year` 0 is 1 BC. */
function daysFrom(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 730_425;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function parseDays(text: string, type: string): number {
  const match = DATE.exec(text);
  if (match === null) throw malformed(type);
  const written = Number(match[1]);
  const month = Number(match[2]);
  const day = Number(match[3]);
  if (written === 0) throw outside('date/time field value');
  const year = match[4] === undefined ? written : 1 - written;
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) throw outside('date/time field value');
  return daysFrom(year, month, day);
}

/** Days since 2000-01-01, or an infinity. */
export function parseDate(input: string): number {
  const text = trimSpace(input);
  const special = text.toLowerCase();
  if (special === 'infinity' || special === '+infinity') return Infinity;
  if (special === '-infinity') return -Infinity;
  if (special === 'epoch') return -10_957;
  return checkDate(parseDays(text, 'date'));
}

export function checkDate(days: number): number {
  if (days < DATE_MIN || days >= DATE_END) throw outside('date');
  return days;
}

/** Microseconds since midnight, at most 24:00:00. */
export function parseTime(input: string): number {
  const match = TIME.exec(trimSpace(input));
  if (match === null) throw malformed('time');
  const hours = Number(match[1]);
  const minutes = Number(match[2]);
  const seconds = Number(match[3] ?? 0);
  const micros = Number((match[4] ?? '').padEnd(6, '0'));
  const total = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
  if (hours > 24 || minutes > 59 || seconds > 60 || total > Number(MICROS_PER_DAY)) {
    throw outside('date/time field value');
  }
  return total;
}

/** Microseconds since 2000-01-01. A zone is ignored, as Postgres ignores it. */
export function parseTimestamp(input: string): bigint {
  return timestampFrom(input, false);
}

/**
 * Microseconds since 2000-01-01 UTC. A text without a zone means the session's zone to Postgres, which is not known here:
 * it is refused.
 */
export function parseTimestamptz(input: string): bigint {
  return timestampFrom(input, true);
}

function timestampFrom(input: string, zoned: boolean): bigint {
  const type = zoned ? 'timestamp with time zone' : 'timestamp';
  const text = trimSpace(input);
  const special = text.toLowerCase();
  if (special === 'infinity' || special === '+infinity') return TIMESTAMP_INFINITY;
  if (special === '-infinity') return TIMESTAMP_MINUS_INFINITY;
  if (special === 'epoch') return -10_957n * MICROS_PER_DAY;
  const match = TIMESTAMP.exec(text);
  if (match === null) throw malformed(type);
  if (zoned && match[3] === undefined) {
    throw new EvaluationError(
      'invalid_datetime_format',
      'a timestamp with time zone needs its zone here: as in 2026-01-05 10:00:00+00',
    );
  }
  const days = parseDays(match[1]! + (match[4] ?? ''), type);
  const micros = match[2] === undefined ? 0 : parseTime(match[2]);
  const offset = match[3] === undefined ? 0n : parseOffset(match[3]);
  return checkTimestamp(BigInt(days) * MICROS_PER_DAY + BigInt(micros) - (zoned ? offset : 0n));
}

export function checkTimestamp(micros: bigint): bigint {
  if (micros < TIMESTAMP_MIN || micros >= TIMESTAMP_END) throw outside('timestamp');
  return micros;
}

function parseOffset(text: string): bigint {
  const match = ZONE.exec(text);
  if (match === null) return 0n;
  const hours = Number(match[2]);
  const minutes = Number(match[3] ?? 0);
  const seconds = Number(match[4] ?? 0);
  if (hours > 15 || minutes > 59 || seconds > 59) throw outside('time zone displacement');
  const micros = BigInt((hours * 60 + minutes) * 60 + seconds) * 1_000_000n;
  return match[1] === '-' ? -micros : micros;
}
