import { divisionByZero, EvaluationError, invalidSyntax } from './evaluation-error.ts';

/*
  numeric: https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-NUMERIC-DECIMAL
  The rules of scale and rounding are those of src/backend/utils/adt/numeric.c (PostgreSQL 18).
*/

/** `digits` / 10^`scale`; for the values that are no numbers `special` says which, and the others are 0. */
export interface Decimal {
  readonly digits: bigint;
  readonly scale: number;
  readonly special: 'none' | 'nan' | 'infinity' | '-infinity';
}

/** Digits before the decimal point, and behind it: the format has no more. */
const MAX_WHOLE_DIGITS = 131_072;
const MAX_SCALE = 16_383;
const MAX_DIVISION_SCALE = 1000;
const MIN_SIGNIFICANT_DIGITS = 16;

export const NAN: Decimal = { digits: 0n, scale: 0, special: 'nan' };
export const INFINITY: Decimal = { digits: 0n, scale: 0, special: 'infinity' };
export const NEGATIVE_INFINITY: Decimal = { digits: 0n, scale: 0, special: '-infinity' };

export function decimal(digits: bigint, scale = 0): Decimal {
  return { digits, scale, special: 'none' };
}

const POWERS: bigint[] = [1n];

/** 10^`exponent`; small ones are kept. */
export function powerOfTen(exponent: number): bigint {
  if (exponent > 1000) return 10n ** BigInt(exponent);
  for (let i = POWERS.length; i <= exponent; i++) POWERS.push(POWERS[i - 1]! * 10n);
  return POWERS[exponent]!;
}

const SPECIAL: Readonly<Record<string, Decimal>> = {
  nan: NAN,
  inf: INFINITY,
  infinity: INFINITY,
  '+inf': INFINITY,
  '+infinity': INFINITY,
  '-inf': NEGATIVE_INFINITY,
  '-infinity': NEGATIVE_INFINITY,
};
const DECIMAL = /^([+-]?)(\d+(?:_\d+)*)?(?:\.(\d+(?:_\d+)*)?)?(?:[eE]([+-]?\d+(?:_\d+)*))?$/;
const RADIX = /^([+-]?)(0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+)$/;

/** numeric's input function. */
export function parseDecimal(text: string): Decimal {
  const trimmed = trimSpace(text);
  const match = DECIMAL.exec(trimmed);
  if (match === null || (match[2] === undefined && match[3] === undefined)) {
    const special = SPECIAL[trimmed.toLowerCase()] ?? parseRadix(trimmed);
    if (special === null) throw invalidSyntax('numeric');
    return special;
  }
  const fraction = (match[3] ?? '').replaceAll('_', '');
  const whole = (match[2] ?? '').replaceAll('_', '');
  const exponent = match[4] === undefined ? 0 : Number(match[4].replaceAll('_', ''));
  return fromParts(match[1] === '-', whole + fraction, fraction.length - exponent);
}

function fromParts(negative: boolean, text: string, scale: number): Decimal {
  if (scale > MAX_SCALE || text.length - scale > MAX_WHOLE_DIGITS * 2) throw overflow();
  let digits = BigInt(text);
  if (negative) digits = -digits;
  if (scale >= 0) return checked(decimal(digits, scale));
  if (digits === 0n) return decimal(0n);
  return checked(decimal(digits * powerOfTen(-scale)));
}

function parseRadix(text: string): Decimal | null {
  const match = RADIX.exec(text);
  if (match === null) return null;
  const value = BigInt(match[2]!.replaceAll('_', ''));
  return checked(decimal(match[1] === '-' ? -value : value));
}

const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d);

/** Without what Postgres's `isspace` takes for white space; JavaScript's own `trim` takes more. */
export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function overflow(): EvaluationError {
  return new EvaluationError('numeric_value_out_of_range', 'value overflows numeric format');
}

/** Few values come near the limit: counting their digits may cost. */
function checked(value: Decimal): Decimal {
  if (value.scale > MAX_SCALE) throw overflow();
  const { digits } = value;
  if (digits < 1n << 1024n && digits > -(1n << 1024n)) return value;
  if (digitCount(digits) - value.scale > MAX_WHOLE_DIGITS) throw overflow();
  return value;
}

function digitCount(digits: bigint): number {
  return (digits < 0n ? -digits : digits).toString().length;
}

export function formatDecimal(value: Decimal): string {
  if (value.special === 'nan') return 'NaN';
  if (value.special === 'infinity') return 'Infinity';
  if (value.special === '-infinity') return '-Infinity';
  const { digits, scale } = value;
  if (scale === 0) return digits.toString();
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0');
  return `${digits < 0n ? '-' : ''}${text.slice(0, -scale)}.${text.slice(-scale)}`;
}

const RANK = { '-infinity': 0, none: 1, infinity: 2, nan: 3 } as const;

/** NaN equals itself and is the largest. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  if (a.special !== 'none' || b.special !== 'none') return RANK[a.special] - RANK[b.special];
  let left = a.digits;
  let right = b.digits;
  if (a.scale < b.scale) left *= powerOfTen(b.scale - a.scale);
  else if (a.scale > b.scale) right *= powerOfTen(a.scale - b.scale);
  return left < right ? -1 : left > right ? 1 : 0;
}

export function negateDecimal(a: Decimal): Decimal {
  if (a.special === 'infinity') return NEGATIVE_INFINITY;
  if (a.special === '-infinity') return INFINITY;
  return a.special === 'nan' ? a : decimal(-a.digits, a.scale);
}

export function absDecimal(a: Decimal): Decimal {
  return a.special === '-infinity' || a.digits < 0n ? negateDecimal(a) : a;
}

/** -1, 0 or 1; not of NaN. */
function signOf(a: Decimal): number {
  if (a.special !== 'none') return a.special === 'infinity' ? 1 : -1;
  return a.digits > 0n ? 1 : a.digits < 0n ? -1 : 0;
}

const isNaNOf = (a: Decimal, b: Decimal): boolean => a.special === 'nan' || b.special === 'nan';

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  if (isNaNOf(a, b)) return NAN;
  if (a.special !== 'none') return b.special === 'none' || b.special === a.special ? a : NAN;
  if (b.special !== 'none') return b;
  const scale = Math.max(a.scale, b.scale);
  return checked(decimal(atScale(a, scale) + atScale(b, scale), scale));
}

const atScale = (a: Decimal, scale: number): bigint => a.digits * powerOfTen(scale - a.scale);

export function subtractDecimals(a: Decimal, b: Decimal): Decimal {
  return addDecimals(a, negateDecimal(b));
}

export function multiplyDecimals(a: Decimal, b: Decimal): Decimal {
  if (isNaNOf(a, b)) return NAN;
  if (a.special !== 'none' || b.special !== 'none') {
    const sign = signOf(a) * signOf(b);
    return sign === 0 ? NAN : sign > 0 ? INFINITY : NEGATIVE_INFINITY;
  }
  const product = decimal(a.digits * b.digits, a.scale + b.scale);
  return checked(product.scale > MAX_SCALE ? roundDecimal(product, MAX_SCALE) : product);
}

export function divideDecimals(a: Decimal, b: Decimal): Decimal {
  if (isNaNOf(a, b)) return NAN;
  if (a.special !== 'none') {
    if (b.special !== 'none') return NAN;
    if (b.digits === 0n) throw divisionByZero();
    return signOf(a) * signOf(b) > 0 ? INFINITY : NEGATIVE_INFINITY;
  }
  if (b.special !== 'none') return decimal(0n);
  if (b.digits === 0n) throw divisionByZero();
  const scale = divisionScale(a, b);
  // One digit more than asked for, and it is not zero where anything follows it: the rounding is then exact.
  const shift = scale + 1 + b.scale - a.scale;
  const numerator = shift >= 0 ? a.digits * powerOfTen(shift) : a.digits;
  const denominator = shift >= 0 ? b.digits : b.digits * powerOfTen(-shift);
  return checked(roundDecimal(decimal(numerator / denominator, scale + 1), scale));
}

/** `select_div_scale`: at least 16 significant digits, counted in numeric's groups of four. */
function divisionScale(a: Decimal, b: Decimal): number {
  const left = leadingGroup(a);
  const right = leadingGroup(b);
  let weight = left.weight - right.weight;
  if (left.first <= right.first) weight--;
  const scale = Math.max(MIN_SIGNIFICANT_DIGITS - weight * 4, a.scale, b.scale, 0);
  return Math.min(scale, MAX_DIVISION_SCALE);
}

/** The first group of four digits that is not 0, and its place: 0 before the decimal point, -1 behind it. */
function leadingGroup(a: Decimal): { readonly weight: number; readonly first: number } {
  if (a.digits === 0n) return { weight: 0, first: 0 };
  const text = (a.digits < 0n ? -a.digits : a.digits).toString();
  const weight = Math.floor((text.length - a.scale - 1) / 4);
  const length = text.length - a.scale - weight * 4;
  return { weight, first: Number(text.slice(0, length).padEnd(length, '0')) };
}

export function remainderOfDecimals(a: Decimal, b: Decimal): Decimal {
  if (isNaNOf(a, b)) return NAN;
  if (a.special !== 'none') {
    if (b.special === 'none' && b.digits === 0n) throw divisionByZero();
    return NAN;
  }
  if (b.special !== 'none') return a;
  if (b.digits === 0n) throw divisionByZero();
  const scale = Math.max(a.scale, b.scale);
  return decimal(atScale(a, scale) % atScale(b, scale), scale);
}

/** Half away from zero. A negative `scale` rounds before the decimal point. */
export function roundDecimal(a: Decimal, scale: number): Decimal {
  if (a.special !== 'none') return a;
  if (scale >= a.scale) return decimal(a.digits * powerOfTen(scale - a.scale), scale);
  const unit = powerOfTen(a.scale - scale);
  const half = unit / 2n;
  const rounded = (a.digits < 0n ? a.digits - half : a.digits + half) / unit;
  return scale >= 0 ? decimal(rounded, scale) : decimal(rounded * powerOfTen(-scale), 0);
}

/** Coerces to `numeric(precision, scale)`, whose type modifier is `modifier`. */
export function applyNumericModifier(a: Decimal, modifier: number): Decimal {
  if (modifier < 4 || a.special === 'nan') return a;
  const precision = ((modifier - 4) >> 16) & 0xffff;
  const scale = (((modifier - 4) & 0x7ff) ^ 1024) - 1024;
  const fieldOverflow = (): EvaluationError =>
    new EvaluationError('numeric_value_out_of_range', 'numeric field overflow');
  if (a.special !== 'none') throw fieldOverflow();
  const rounded = roundDecimal(a, scale);
  const limit = precision - scale;
  const whole = limit >= 0 ? powerOfTen(limit) * powerOfTen(rounded.scale) : powerOfTen(rounded.scale + limit);
  if (rounded.digits >= whole || rounded.digits <= -whole) throw fieldOverflow();
  return rounded;
}
