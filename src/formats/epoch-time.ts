import type { ByteWriter } from './byte-writer.ts';
import { writeJsonString } from './json-text.ts';

/*
  Dates and times as Debezium has them with `time.precision.mode = adaptive`, from the text that Postgres prints with
  `datestyle=ISO` and `timezone=UTC`. Whole numbers all the way: seconds, and microseconds apart from them.
  https://debezium.io/documentation/reference/3.0/connectors/postgresql.html#postgresql-temporal-types

    date           days since 1970-01-01                                        io.debezium.time.Date
    time           microseconds since midnight; milliseconds for time(0..3)     MicroTime, Time
    timetz         "10:00:00.1Z": shifted to UTC, no zeros at the end           ZonedTime
    timestamp      microseconds since 1970-01-01T00:00:00; milliseconds for     MicroTimestamp, Timestamp
                   timestamp(0..3)
    timestamptz    "2026-01-05T10:00:00.120000Z": as many digits as the type    ZonedTimestamp
    interval       microseconds; a month has 365.25 / 12 days                   MicroDuration

  Infinities: of a date the days of +5877611-06-21 and -5877611-06-22, of a timestamp 9223372036825200000 and
  -9223372036832400000 microseconds (what the driver has for them), of a timestamptz "infinity" and "-infinity".
  (Debezium 3.0 has a minus before the year of the date's infinity too, a mistake that it corrected later.)

  Text of another shape is written as a string.
*/

const ZERO = 0x30;
const COLON = 0x3a;
const HYPHEN = 0x2d;
const POINT = 0x2e;
const QUOTE = 0x22;
const MINUS = 0x2d;
const PLUS = 0x2b;
const SPACE = 0x20;

const SECONDS_PER_DAY = 86_400;

// What was read last. Nothing is allocated per value.
let year = 0;
let month = 0;
let day = 0;
let seconds = 0;
let micros = 0;

/** Days since 1970-01-01. https://howardhinnant.github.io/date_algorithms.html#days_from_civil */
function daysFromCivil(): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= 0x39;
}

function two(data: Buffer, at: number): number {
  return (data[at]! - ZERO) * 10 + data[at + 1]! - ZERO;
}

const MALFORMED = -1;

/** Reads `y…y-mm-dd`, and the BC at the end of the text; returns the offset past the day, or `MALFORMED`. */
function readDate(data: Buffer, start: number, end: number): number {
  let at = start;
  year = 0;
  while (at < end && isDigit(data[at])) year = year * 10 + data[at++]! - ZERO;
  if (at - start < 4 || at + 6 > end || data[at] !== HYPHEN || data[at + 3] !== HYPHEN) return MALFORMED;
  month = two(data, at + 1);
  day = two(data, at + 4);
  // The year before 1 is 1 BC, and 0 in arithmetic.
  if (isBeforeChrist(data, start, end)) year = 1 - year;
  return at + 6;
}

function isBeforeChrist(data: Buffer, start: number, end: number): boolean {
  return end - start > 3 && data[end - 1] === 0x43 && data[end - 2] === 0x42 && data[end - 3] === SPACE;
}

/** Reads `hh:mm:ss[.f…]` as seconds and microseconds; returns the offset past it, or `MALFORMED`. */
function readTime(data: Buffer, start: number, end: number): number {
  if (start + 8 > end || data[start + 2] !== COLON || data[start + 5] !== COLON) return MALFORMED;
  seconds = two(data, start) * 3600 + two(data, start + 3) * 60 + two(data, start + 6);
  micros = 0;
  let at = start + 8;
  if (at >= end || data[at] !== POINT) return at;
  let unit = 100_000;
  for (at++; at < end && isDigit(data[at]); at++) {
    micros += (data[at]! - ZERO) * unit;
    unit /= 10;
  }
  return unit < 0.1 ? MALFORMED : at;
}

/** Writes `seconds` and `micros` as one number: of microseconds, or with `millis` of milliseconds. */
function writeScaled(out: ByteWriter, millis: boolean): void {
  const scale = millis ? 1000 : 1_000_000;
  const width = millis ? 3 : 6;
  let whole = seconds;
  let fraction = millis ? Math.floor(micros / 1000) : micros;
  if (whole < 0) {
    out.byte(MINUS);
    whole = -whole;
    if (fraction > 0) {
      whole--;
      fraction = scale - fraction;
    }
  }
  if (whole === 0) {
    out.unsigned(fraction);
    return;
  }
  out.unsigned(whole);
  out.unsigned(fraction, width);
}

/** 'i' of infinity, or the 'i' behind its minus. */
function isInfinite(data: Buffer, start: number): boolean {
  return data[start] === 0x69 || (data[start] === MINUS && data[start + 1] === 0x69);
}

const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');
const INFINITE_DAYS = [ascii('2146033979'), ascii('-2147472691')] as const;
const INFINITE_MICROS = [ascii('9223372036825200000'), ascii('-9223372036832400000')] as const;
const INFINITE_MILLIS = [ascii('9223372036825200'), ascii('-9223372036832400')] as const;
const INFINITE_DURATION = [ascii('9223372036854775807'), ascii('-9223372036854775808')] as const;

export function writeEpochDays(out: ByteWriter, data: Buffer, start: number, end: number): void {
  if (isInfinite(data, start)) out.raw(INFINITE_DAYS[data[start] === MINUS ? 1 : 0]);
  else if (readDate(data, start, end) === MALFORMED) writeJsonString(out, data, start, end);
  else writeSigned(out, daysFromCivil());
}

export function writeTimeOfDay(out: ByteWriter, data: Buffer, start: number, end: number, millis: boolean): void {
  if (readTime(data, start, end) === end) writeScaled(out, millis);
  else writeJsonString(out, data, start, end);
}

export function writeEpochTime(out: ByteWriter, data: Buffer, start: number, end: number, millis: boolean): void {
  writeEpoch(out, data, start, end, millis, false);
}

/** A timestamptz, in microseconds. */
export function writeEpochInstant(out: ByteWriter, data: Buffer, start: number, end: number): void {
  writeEpoch(out, data, start, end, false, true);
}

function writeEpoch(
  out: ByteWriter,
  data: Buffer,
  start: number,
  end: number,
  millis: boolean,
  isZoned: boolean,
): void {
  if (isInfinite(data, start)) {
    out.raw((millis ? INFINITE_MILLIS : INFINITE_MICROS)[data[start] === MINUS ? 1 : 0]);
    return;
  }
  const date = readDate(data, start, end);
  const time = date === MALFORMED ? MALFORMED : readTime(data, date + 1, end);
  const isOther = time !== MALFORMED && isZoned && (data[time] !== PLUS || two(data, time + 1) !== 0);
  if (time === MALFORMED || isOther || !endsAt(data, isZoned ? time + 3 : time, start, end)) {
    writeJsonString(out, data, start, end);
    return;
  }
  seconds += daysFromCivil() * SECONDS_PER_DAY;
  writeScaled(out, millis);
}

/** `fraction`: of the second so many digits, or 0. */
export function writeZonedTimestamp(out: ByteWriter, data: Buffer, start: number, end: number, fraction: number): void {
  const date = isInfinite(data, start) ? MALFORMED : readDate(data, start, end);
  const time = date === MALFORMED ? MALFORMED : readTime(data, date + 1, end);
  const isUtc = time !== MALFORMED && data[time] === PLUS && two(data, time + 1) === 0;
  if (!isUtc || !endsAt(data, time + 3, start, end)) {
    writeJsonString(out, data, start, end);
    return;
  }
  out.byte(QUOTE);
  if (year > 9999) out.byte(PLUS);
  if (year < 0) out.byte(MINUS);
  out.unsigned(Math.abs(year), 4);
  out.slice(data, date - 6, date);
  out.byte(0x54);
  out.slice(data, date + 1, date + 9);
  if (fraction > 0) {
    out.byte(POINT);
    out.unsigned(Math.floor(micros / 10 ** (6 - fraction)), fraction);
  }
  out.byte(0x5a);
  out.byte(QUOTE);
}

export function writeZonedTime(out: ByteWriter, data: Buffer, start: number, end: number): void {
  const time = readTime(data, start, end);
  const offset = time === MALFORMED ? null : readOffset(data, time, end);
  if (offset === null) {
    writeJsonString(out, data, start, end);
    return;
  }
  // Only of UTC the day has a 24th hour.
  const isMidnight = seconds === SECONDS_PER_DAY && offset === 0;
  const utc = isMidnight ? seconds : (seconds - offset + 2 * SECONDS_PER_DAY) % SECONDS_PER_DAY;
  out.byte(QUOTE);
  out.unsigned(Math.floor(utc / 3600), 2);
  out.byte(COLON);
  out.unsigned(Math.floor(utc / 60) % 60, 2);
  out.byte(COLON);
  out.unsigned(utc % 60, 2);
  if (micros > 0) {
    out.byte(POINT);
    out.unsigned(micros, 6);
    while (out.bytes[out.length - 1] === ZERO) out.length--;
  }
  out.byte(0x5a);
  out.byte(QUOTE);
}

/** `±hh[:mm[:ss]]` in seconds. */
function readOffset(data: Buffer, start: number, end: number): number | null {
  const sign = data[start] === PLUS ? 1 : data[start] === MINUS ? -1 : 0;
  const length = end - start;
  if (sign === 0 || (length !== 3 && length !== 6 && length !== 9)) return null;
  const minutes = length >= 6 ? two(data, start + 4) : 0;
  return sign * (two(data, start + 1) * 3600 + minutes * 60 + (length === 9 ? two(data, start + 7) : 0));
}

/** Nothing is left behind `at` but the mark of a year before Christ. */
function endsAt(data: Buffer, at: number, start: number, end: number): boolean {
  return at === end || (at === end - 3 && isBeforeChrist(data, start, end));
}

function writeSigned(out: ByteWriter, value: number): void {
  if (value < 0) out.byte(MINUS);
  out.unsigned(Math.abs(value));
}

const DAYS_PER_MONTH = 365.25 / 12;
const INTERVAL =
  /^(?:(-?\d+) years? ?)?(?:([+-]?\d+) mons? ?)?(?:([+-]?\d+) days? ?)?(?:([+-])?(\d+):(\d\d):(\d\d(?:\.\d+)?))?$/;

/** The text of an interval with `intervalstyle=postgres`. In doubles, and cut, as Debezium does it. */
export function writeDuration(out: ByteWriter, data: Buffer, start: number, end: number): void {
  if (isInfinite(data, start)) {
    out.raw(INFINITE_DURATION[data[start] === MINUS ? 1 : 0]);
    return;
  }
  const parts = end - start > 200 ? null : INTERVAL.exec(data.toString('latin1', start, end));
  if (parts === null) {
    writeJsonString(out, data, start, end);
    return;
  }
  const part = (i: number): number => Number(parts[i] ?? 0);
  const sign = parts[4] === '-' ? -1 : 1;
  const days = (part(1) * 12 + part(2)) * DAYS_PER_MONTH + part(3);
  const total = ((days * 24 + sign * part(5)) * 60 + sign * part(6)) * 60 + sign * part(7);
  out.raw(ascii(BigInt(Math.trunc(total * 1e6)).toString()));
}
