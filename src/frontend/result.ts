import type { PgNotice } from '../postgres/sqlstate.ts';
import { OID } from '../postgres/oid.ts';
import type { Field, Format } from '../wire/backend-messages.ts';
import { encodeText } from './client-encoding.ts';

/** A column's type, of those that results of ours have. */
export type ColumnType = 'text' | 'int4' | 'int8' | 'float8' | 'bool' | 'timestamptz' | 'jsonb';

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

/** text, jsonb: string; int4, int8, float8: number; bool: boolean; timestamptz: number, milliseconds since 1970. */
export type Value = string | number | boolean | null;

/** What a statement of ours answers. */
export interface Result {
  /** Empty: it returns no rows. */
  readonly columns: readonly Column[];
  readonly rows: ReadonlyArray<readonly Value[]>;
  readonly tag: string;
  readonly notices: readonly PgNotice[];
}

const TYPE_BYTES: Readonly<Record<ColumnType, number>> = {
  text: -1,
  int4: 4,
  int8: 8,
  float8: 8,
  bool: 1,
  timestamptz: 8,
  jsonb: -1,
};

export function fieldOf({ name, type }: Column, format: Format): Field {
  return { name, typeOid: OID[type], typeBytes: TYPE_BYTES[type], format };
}

/** The value's bytes in a DataRow; null is SQL's null. `encoding` is the client's. */
export function encodeValue(value: Value, type: ColumnType, format: Format, encoding: string): Buffer | null {
  if (value === null) return null;
  if (type === 'text') return encodeText(String(value), encoding);
  if (type === 'jsonb') {
    const text = encodeText(String(value), encoding);
    return format === 1 ? Buffer.concat([JSONB_VERSION, text]) : text;
  }
  if (format === 1) return BINARY[type](Number(value));
  return Buffer.from(TEXT[type](Number(value)), 'latin1');
}

/** `jsonb_send`: a version, then the text. */
const JSONB_VERSION = Buffer.of(1);

const TEXT: Readonly<Record<Exclude<ColumnType, 'text' | 'jsonb'>, (value: number) => string>> = {
  int4: (value) => String(value),
  int8: (value) => BigInt(Math.round(value)).toString(),
  float8: float8Text,
  bool: (value) => (value ? 't' : 'f'),
  timestamptz: timestamptzText,
};

/** Microseconds from 1970-01-01 to 2000-01-01, where Postgres's timestamps begin. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n;

// The formats of the types' `…send` functions: https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES
const BINARY: Readonly<Record<Exclude<ColumnType, 'text' | 'jsonb'>, (value: number) => Buffer>> = {
  int4: (value) => fixed(4, (bytes) => bytes.writeInt32BE(value)),
  int8: (value) => fixed(8, (bytes) => bytes.writeBigInt64BE(BigInt(Math.round(value)))),
  float8: (value) => fixed(8, (bytes) => bytes.writeDoubleBE(value)),
  bool: (value) => Buffer.of(value ? 1 : 0),
  timestamptz: (value) =>
    fixed(8, (bytes) => bytes.writeBigInt64BE(BigInt(Math.round(value * 1000)) - POSTGRES_EPOCH_MICROS)),
};

function fixed(length: number, write: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(length);
  write(bytes);
  return bytes;
}

/** A duration as it is shown: what is beyond the microsecond is noise of the clock's. */
export function shownMs(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1_000) / 1_000;
}

/**
 * As Postgres prints float8 with its default `extra_float_digits`: the shortest digits that give the value back, with
 * an exponent of at least two digits below 1e-4 and from 1e15 on.
 */
export function float8Text(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  if (Object.is(value, -0)) return '-0';
  const [digits, exponentText] = value.toExponential().split('e');
  const exponent = Number(exponentText);
  if (value === 0 || (exponent >= -4 && exponent < 15)) return String(value);
  const sign = exponent < 0 ? '-' : '+';
  return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

/** In UTC, whatever the session's TimeZone: `2026-01-05 10:00:00.123+00`. */
export function timestamptzText(epochMs: number): string {
  const [date, time] = new Date(epochMs).toISOString().slice(0, -1).split('T');
  // As Postgres prints fractions: no zeros at the end.
  return `${date} ${time!.replace(/\.?0*$/, '')}+00`;
}
