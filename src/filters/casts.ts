import type { ValueKind } from '../model/predicate.ts';
import {
  TIMESTAMP_END,
  checkDate,
  checkTimestamp,
  MICROS_PER_DAY,
  TIMESTAMP_INFINITY,
  TIMESTAMP_MINUS_INFINITY,
} from './date-time.ts';
import { applyNumericModifier, type Decimal, decimal, formatDecimal, INFINITY, NAN } from './decimal.ts';
import { NEGATIVE_INFINITY, parseDecimal, powerOfTen, roundDecimal } from './decimal.ts';
import { EvaluationError, outOfRange } from './evaluation-error.ts';
import { canonicalJson } from './json-document.ts';
import { checkInteger, parseBoolean, parseBytea, parseFloat8, parseInteger, parseUuid, type Scalar } from './values.ts';
import { TYPE_NAME, withoutTrailingBlanks } from './values.ts';

/*
  The casts between types whose result depends on nothing but the value. Those that depend on the session (dates to and
  from text, timestamp with and without time zone) are missing on purpose.
*/

type Cast = (value: never) => Scalar;

const INTEGERS = ['int2', 'int4', 'int8'] as const;
type IntegerKind = (typeof INTEGERS)[number];

function integer(kind: IntegerKind, value: bigint): number | bigint {
  checkInteger(value, kind);
  return kind === 'int8' ? value : Number(value);
}

/** Half to even, as `rint` does. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

function floatToInteger(value: number, kind: IntegerKind): number | bigint {
  if (!Number.isFinite(value)) throw outOfRange(TYPE_NAME[kind]);
  return integer(kind, BigInt(roundHalfEven(value)));
}

function decimalToInteger(value: Decimal, kind: IntegerKind): number | bigint {
  if (value.special !== 'none') {
    const what = value.special === 'nan' ? 'NaN' : 'infinity';
    throw new EvaluationError('feature_not_supported', `cannot convert ${what} to ${TYPE_NAME[kind]}`);
  }
  return integer(kind, roundDecimal(value, 0).digits);
}

function decimalToFloat(value: Decimal, kind: 'float4' | 'float8'): number {
  if (value.special !== 'none')
    return value.special === 'nan' ? NaN : value.special === 'infinity' ? Infinity : -Infinity;
  return parseFloat8(formatDecimal(value), kind);
}

/** As `%.15g` (float4: `%.6g`) prints it, ties to even: that is all that Postgres takes over. */
function floatToDecimal(value: number, significant: number): Decimal {
  if (Number.isNaN(value)) return NAN;
  if (!Number.isFinite(value)) return value > 0 ? INFINITY : NEGATIVE_INFINITY;
  if (value === 0) return decimal(0n);
  const exponent = Number(value.toExponential(significant - 1).split('e')[1]);
  const { numerator, denominator } = fractionOf(Math.abs(value));
  let digits = roundedQuotient(numerator, denominator, significant - 1 - exponent);
  let shift = significant - 1 - exponent;
  // %g prints no zeros at the end.
  while (digits % 10n === 0n && digits !== 0n) {
    digits /= 10n;
    shift--;
  }
  const signed = value < 0 ? -digits : digits;
  return shift >= 0 ? decimal(signed, shift) : decimal(signed * powerOfTen(-shift));
}

function fractionOf(value: number): { numerator: bigint; denominator: bigint } {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const raw = bits.getBigUint64(0);
  const biased = Number((raw >> 52n) & 0x7ffn);
  const mantissa = (raw & 0xfffffffffffffn) | (biased === 0 ? 0n : 1n << 52n);
  const exponent = (biased === 0 ? 1 : biased) - 1075;
  if (exponent >= 0) return { numerator: mantissa << BigInt(exponent), denominator: 1n };
  return { numerator: mantissa, denominator: 1n << BigInt(-exponent) };
}

/** numerator / denominator * 10^shift, ties to even. */
function roundedQuotient(numerator: bigint, denominator: bigint, shift: number): bigint {
  const above = shift >= 0 ? numerator * powerOfTen(shift) : numerator;
  const below = shift >= 0 ? denominator : denominator * powerOfTen(-shift);
  const quotient = above / below;
  const rest = (above % below) * 2n;
  const up = rest > below || (rest === below && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}

function toFloat4(value: number): number {
  const narrow = Math.fround(value);
  if (Number.isFinite(value) && !Number.isFinite(narrow)) {
    throw new EvaluationError('numeric_value_out_of_range', 'value out of range: overflow');
  }
  if (narrow === 0 && value !== 0) {
    throw new EvaluationError('numeric_value_out_of_range', 'value out of range: underflow');
  }
  return narrow;
}

function dateToTimestamp(days: number): bigint {
  if (days === Infinity) return TIMESTAMP_INFINITY;
  if (days === -Infinity) return TIMESTAMP_MINUS_INFINITY;
  return BigInt(days) * MICROS_PER_DAY;
}

/** For comparing alone: a date beyond the last timestamp is later than each of them, and earlier than infinity. */
function dateForComparison(days: number): bigint {
  const micros = dateToTimestamp(days);
  return Number.isFinite(days) && micros >= TIMESTAMP_END ? TIMESTAMP_END : micros;
}

function timestampToDate(micros: bigint): number {
  if (micros === TIMESTAMP_INFINITY) return Infinity;
  if (micros === TIMESTAMP_MINUS_INFINITY) return -Infinity;
  return checkDate(Number((micros - (((micros % MICROS_PER_DAY) + MICROS_PER_DAY) % MICROS_PER_DAY)) / MICROS_PER_DAY));
}

function formatUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const CASTS = new Map<string, Cast>();
const define = <T extends Scalar>(from: ValueKind, to: ValueKind, cast: (value: T) => Scalar): void => {
  CASTS.set(`${from}>${to}`, cast);
};

for (const kind of INTEGERS) {
  for (const other of INTEGERS) define(kind, other, (value: number | bigint) => integer(other, BigInt(value)));
  define(kind, 'numeric', (value: number | bigint) => decimal(BigInt(value)));
  define(kind, 'float4', (value: number | bigint) => intToFloat4(value));
  define(kind, 'float8', Number);
  define(kind, 'text', String);
  define('numeric', kind, (value: Decimal) => decimalToInteger(value, kind));
  define('float4', kind, (value: number) => floatToInteger(value, kind));
  define('float8', kind, (value: number) => floatToInteger(value, kind));
  for (const from of ['text', 'bpchar'] as const) define(from, kind, (value: string) => SAFE_INTEGER[kind](value));
}
define('numeric', 'float4', (value: Decimal) => decimalToFloat(value, 'float4'));
define('numeric', 'float8', (value: Decimal) => decimalToFloat(value, 'float8'));
define('numeric', 'text', formatDecimal);
define('numeric', 'numeric', (value: Decimal) => value);
define('float4', 'float8', (value: number) => value);
define('float8', 'float4', toFloat4);
define('float4', 'numeric', (value: number) => floatToDecimal(value, 6));
define('float8', 'numeric', (value: number) => floatToDecimal(value, 15));
define('bool', 'int4', Number);
define('int4', 'bool', (value: number) => value !== 0);
define('bool', 'text', String);
define('text', 'text', (value: string) => value);
define('text', 'bpchar', (value: string) => value);
define('bpchar', 'bpchar', (value: string) => value);
define('bpchar', 'text', withoutTrailingBlanks);
for (const from of ['text', 'bpchar'] as const) define(from, 'bool', parseBoolean);
for (const from of ['text', 'bpchar'] as const) define(from, 'numeric', parseDecimal);
for (const from of ['text', 'bpchar'] as const) define(from, 'float4', (value: string) => parseFloat8(value, 'float4'));
for (const from of ['text', 'bpchar'] as const) define(from, 'float8', (value: string) => parseFloat8(value));
define('text', 'uuid', parseUuid);
define('text', 'bytea', parseBytea);
define('text', 'jsonb', canonicalJson);
define('uuid', 'text', formatUuid);
define('json', 'text', (value: string) => value);
define('jsonb', 'text', (value: string) => value);
define('json', 'jsonb', canonicalJson);
define('jsonb', 'json', (value: string) => value);
define('date', 'timestamp', (days: number) => {
  const micros = dateToTimestamp(days);
  return Number.isFinite(days) ? checkTimestamp(micros) : micros;
});
define('timestamp', 'date', timestampToDate);

const SAFE_INTEGER = {
  int2: (text: string) => Number(parseInteger(text, 'int2')),
  int4: (text: string) => Number(parseInteger(text, 'int4')),
  int8: (text: string) => parseInteger(text, 'int8'),
} as const;

/** A bigint's nearest float4, rounded once: by way of a float8 it may round twice. */
function intToFloat4(value: number | bigint): number {
  if (typeof value === 'number') return Math.fround(value);
  const magnitude = value < 0n ? -value : value;
  const excess = magnitude.toString(2).length - 24;
  if (excess <= 0) return Number(value);
  const unit = 1n << BigInt(excess);
  const rest = (magnitude % unit) * 2n;
  let rounded = magnitude / unit;
  if (rest > unit || (rest === unit && rounded % 2n === 1n)) rounded++;
  return Number(value < 0n ? -(rounded * unit) : rounded * unit);
}

/** Whether `from` has an explicit cast to `to` here. */
export function hasCast(from: ValueKind, to: ValueKind): boolean {
  return from === to || CASTS.has(`${from}>${to}`);
}

/**
 * The cast from one type to another. `modifier` is the target's type modifier, -1 for none; with `implicit` a date beyond
 * timestamp's range still compares.
 */
export function castOf(from: ValueKind, to: ValueKind, modifier: number, implicit: boolean): (value: Scalar) => Scalar {
  if (from === 'date' && to === 'timestamp' && implicit) return dateForComparison as (value: Scalar) => Scalar;
  const found = CASTS.get(`${from}>${to}`) as ((value: Scalar) => Scalar) | undefined;
  const cast = found ?? ((value: Scalar): Scalar => value);
  const fit = modifierOf(to, modifier);
  return fit === null ? cast : (value) => fit(cast(value));
}

function modifierOf(to: ValueKind, modifier: number): ((value: Scalar) => Scalar) | null {
  if (modifier < 0) return null;
  const length = modifier - 4;
  if (to === 'numeric') return (value) => applyNumericModifier(value as Decimal, modifier);
  if (to === 'text') return (value) => firstCharacters(value as string, length).text;
  return to === 'bpchar' ? (value) => padded(value as string, length) : null;
}

function padded(text: string, length: number): string {
  const first = firstCharacters(text, length);
  return first.text + ' '.repeat(length - first.count);
}

/** At most `length` characters, a surrogate pair being one. */
function firstCharacters(text: string, length: number): { readonly text: string; readonly count: number } {
  let at = 0;
  let count = 0;
  for (; at < text.length && count < length; count++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
  return { text: text.slice(0, at), count };
}
