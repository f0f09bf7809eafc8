import type { ValueKind, ValueType } from '../model/predicate.ts';
import { type ArrayValue, parseArray } from './array-text.ts';
import { parseDate, parseTime, parseTimestamp, parseTimestamptz } from './date-time.ts';
import { compareDecimals, type Decimal, parseDecimal, trimSpace } from './decimal.ts';
import { EvaluationError, invalidSyntax } from './evaluation-error.ts';
import { canonicalJson, parseJson, sameJson } from './json-document.ts';

/*
  How the values of each type stand while a predicate is computed:

    bool                       boolean
    int2 int4 float4 float8    number
    int8                       bigint
    numeric                    Decimal
    text bpchar enum           string
    uuid bytea                 string of lower-case hexadecimal digits: their order is that of the bytes
    date                       number of days, infinities included
    time                       number of microseconds
    timestamp timestamptz      bigint of microseconds, the ends of its range for the infinities
    json jsonb                 string: the JSON text; jsonb's in its canonical form
    arrays                     ArrayValue
*/
export type Scalar = boolean | number | bigint | string | Decimal;
export type Value = Scalar | ArrayValue<Scalar>;

/** The SQL names, for messages. */
export const TYPE_NAME: Readonly<Record<ValueKind, string>> = {
  bool: 'boolean',
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  numeric: 'numeric',
  float4: 'real',
  float8: 'double precision',
  text: 'text',
  bpchar: 'character',
  uuid: 'uuid',
  date: 'date',
  time: 'time without time zone',
  timestamp: 'timestamp without time zone',
  timestamptz: 'timestamp with time zone',
  bytea: 'bytea',
  enum: 'enum',
  json: 'json',
  jsonb: 'jsonb',
};

const INTEGER = /^([+-]?)(\d+(?:_\d+)*|0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+)$/;
export const INTEGER_BITS = { int2: 16, int4: 32, int8: 64 } as const;

/** The input function of an integer type. Hexadecimal and underscores are those of PostgreSQL 16 and later. */
export function parseInteger(text: string, kind: 'int2' | 'int4' | 'int8'): bigint {
  const match = INTEGER.exec(trimSpace(text));
  if (match === null) throw invalidSyntax(TYPE_NAME[kind]);
  // 19 digits and their zeros: a million digits must not be computed with to learn that they are too many.
  const digits = match[2]!.replaceAll('_', '').replace(/^0+(?=\d)/, '');
  const value = digits.length > 70 ? 2n ** 64n : BigInt(digits);
  return checkInteger(match[1] === '-' ? -value : value, kind, 'value');
}

/** `subject` begins the message: `value` for a text, the type's name for a result. */
export function checkInteger(value: bigint, kind: 'int2' | 'int4' | 'int8', subject = ''): bigint {
  const limit = 1n << BigInt(INTEGER_BITS[kind] - 1);
  if (value >= limit || value < -limit) {
    const message =
      subject === '' ? `${TYPE_NAME[kind]} out of range` : `${subject} out of range for ${TYPE_NAME[kind]}`;
    throw new EvaluationError('numeric_value_out_of_range', message);
  }
  return value;
}

const FLOAT = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const FLOAT_SPECIAL: Readonly<Record<string, number>> = {
  nan: NaN,
  inf: Infinity,
  infinity: Infinity,
  '+inf': Infinity,
  '+infinity': Infinity,
  '-inf': -Infinity,
  '-infinity': -Infinity,
};

export function parseFloat8(input: string, kind: 'float4' | 'float8' = 'float8'): number {
  const text = trimSpace(input);
  if (!FLOAT.test(text)) {
    const special = FLOAT_SPECIAL[text.toLowerCase()];
    if (special === undefined) throw invalidSyntax(TYPE_NAME[kind]);
    return special;
  }
  const value = kind === 'float4' ? Math.fround(Number(text)) : Number(text);
  const lost = value === 0 && /[1-9]/.test(text.replace(/[eE].*/, ''));
  if (lost || !Number.isFinite(value)) {
    throw new EvaluationError('numeric_value_out_of_range', `value out of range for type ${TYPE_NAME[kind]}`);
  }
  return value;
}

const BOOLEAN_WORDS: readonly { readonly word: string; readonly least: number; readonly value: boolean }[] = [
  { word: 'true', least: 1, value: true },
  { word: 'false', least: 1, value: false },
  { word: 'yes', least: 1, value: true },
  { word: 'no', least: 1, value: false },
  { word: 'on', least: 2, value: true },
  { word: 'off', least: 2, value: false },
  { word: '1', least: 1, value: true },
  { word: '0', least: 1, value: false },
];

export function parseBoolean(input: string): boolean {
  const text = trimSpace(input).toLowerCase();
  for (const { word, least, value } of BOOLEAN_WORDS) {
    if (text.length >= least && word.startsWith(text)) return value;
  }
  throw invalidSyntax('boolean');
}

const UUID = /^(?:[0-9a-f]{4}-?){7}[0-9a-f]{4}$/;

export function parseUuid(input: string): string {
  const lower = input.toLowerCase();
  const text = lower.startsWith('{') && lower.endsWith('}') ? lower.slice(1, -1) : lower;
  if (!UUID.test(text)) throw invalidSyntax('uuid');
  return text.replaceAll('-', '');
}

/** Hexadecimal digits of `\x…` or of the escape format. */
export function parseBytea(text: string): string {
  if (text.startsWith('\\x')) {
    const digits = text.slice(2).toLowerCase();
    if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/.test(digits)) {
      throw new EvaluationError('invalid_text_representation', 'invalid hexadecimal data');
    }
    return digits;
  }
  const bytes: number[] = [];
  const source = Buffer.from(text, 'utf8');
  for (let at = 0; at < source.length; at++) {
    if (source[at] !== 0x5c) {
      bytes.push(source[at]!);
    } else if (source[at + 1] === 0x5c) {
      bytes.push(0x5c);
      at++;
    } else {
      const octal = source.toString('latin1', at + 1, at + 4);
      if (!/^[0-3][0-7]{2}$/.test(octal)) throw invalidSyntax('bytea');
      bytes.push(parseInt(octal, 8));
      at += 3;
    }
  }
  return Buffer.from(bytes).toString('hex');
}

const identity = (text: string): string => text;

function checkedJson(text: string): string {
  parseJson(text);
  return text;
}

const SCALAR_INPUT: Readonly<Record<ValueKind, (text: string) => Scalar>> = {
  bool: parseBoolean,
  int2: (text) => Number(parseInteger(text, 'int2')),
  int4: (text) => Number(parseInteger(text, 'int4')),
  int8: (text) => parseInteger(text, 'int8'),
  numeric: parseDecimal,
  float4: (text) => parseFloat8(text, 'float4'),
  float8: (text) => parseFloat8(text),
  text: identity,
  bpchar: identity,
  uuid: parseUuid,
  date: parseDate,
  time: parseTime,
  timestamp: parseTimestamp,
  timestamptz: parseTimestamptz,
  bytea: parseBytea,
  enum: identity,
  json: checkedJson,
  jsonb: canonicalJson,
};

/** The input function of a type: throws `EvaluationError` for a text that is no value of it. */
export function inputOf(type: ValueType): (text: string) => Value {
  const scalar = SCALAR_INPUT[type.kind];
  const { labels } = type;
  const item = type.kind !== 'enum' || labels === undefined ? scalar : enumInput(new Set(labels));
  return type.array ? (text) => parseArray(text, item) : item;
}

function enumInput(labels: ReadonlySet<string>): (text: string) => string {
  return (text) => {
    if (!labels.has(text)) throw new EvaluationError('invalid_text_representation', 'invalid input value for enum');
    return text;
  };
}

/** From a column's text as Postgres sends it: canonical, so that nothing needs checking but what computing needs. */
export function decoderOf(type: ValueType): (text: string) => Value {
  const item = DECODERS[type.kind] ?? SCALAR_INPUT[type.kind];
  return type.array ? (text) => parseArray(text, item) : item;
}

const DECODERS: Partial<Record<ValueKind, (text: string) => Scalar>> = {
  bool: (text) => text === 't',
  int2: Number,
  int4: Number,
  int8: BigInt,
  json: identity,
  jsonb: identity,
};

type Comparison<T> = (a: T, b: T) => number;

const compareSimple = (a: number | bigint | boolean | string, b: number | bigint | boolean | string): number =>
  a < b ? -1 : a > b ? 1 : 0;

/** NaN equals itself and is the largest. */
function compareFloats(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return 0;
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}

/** By code points, which is the order of the bytes of UTF-8; JavaScript's own order is that of UTF-16. */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all others. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit > 0xdfff ? unit - 0x800 : unit + 0x2000;
}

export function withoutTrailingBlanks(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === 0x20) end--;
  return end === text.length ? text : text.slice(0, end);
}

function compareLabels(labels: readonly string[]): Comparison<string> {
  const rank = new Map(labels.map((label, i) => [label, i]));
  const rankOf = (label: string): number => {
    const found = rank.get(label);
    if (found !== undefined) return found;
    throw new EvaluationError('object_not_in_prerequisite_state', 'the enum has a label that it had not before');
  };
  return (a, b) => (a === b ? 0 : rankOf(a) - rankOf(b));
}

function compareScalars(type: ValueType): Comparison<never> {
  switch (type.kind) {
    case 'numeric':
      return compareDecimals;
    case 'float4':
    case 'float8':
      return compareFloats;
    case 'text':
      return compareText;
    case 'bpchar':
      return (a: string, b: string) => compareText(withoutTrailingBlanks(a), withoutTrailingBlanks(b));
    case 'enum':
      return type.labels === undefined ? compareSimple : compareLabels(type.labels);
    case 'json':
    case 'jsonb':
      return (a: string, b: string) => (a === b || sameJson(parseJson(a), parseJson(b)) ? 0 : 1);
    case 'bool':
    case 'int2':
    case 'int4':
    case 'int8':
    case 'uuid':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
    case 'bytea':
      return compareSimple;
  }
}

/** 0 where two values are equal. An enum's order is not asked for: it may have got labels since. */
export function equalityOf({ kind, array }: ValueType): Comparison<Value> {
  return comparisonOf({ kind, array });
}

/** Negative, 0 or positive; of json and arrays only whether it is 0 counts. */
export function comparisonOf(type: ValueType): Comparison<Value> {
  const scalars = compareScalars(type) as Comparison<Scalar>;
  if (!type.array) return scalars as Comparison<Value>;
  return ((a: ArrayValue<Scalar>, b: ArrayValue<Scalar>): number => {
    if (a.shape !== b.shape) return 1;
    const same = a.items.every((item, i) => {
      const other = b.items[i]!;
      return item === null || other === null ? item === other : scalars(item, other) === 0;
    });
    return same ? 0 : 1;
  }) as Comparison<Value>;
}

/** `container @> part` of arrays: null is in nothing. */
export function containsAll({
  kind,
  array,
}: ValueType): (container: ArrayValue<Scalar>, part: ArrayValue<Scalar>) => boolean {
  const scalars = compareScalars({ kind, array }) as Comparison<Scalar>;
  return (container, part) =>
    part.items.every(
      (wanted) => wanted !== null && container.items.some((item) => item !== null && scalars(item, wanted) === 0),
    );
}
