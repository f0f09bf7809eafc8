import { ELEMENT_OID, OID } from '../postgres/oid.ts';
import type { RelationColumn } from '../postgres/pgoutput.ts';
import { writeArray, type WriteElement } from './array-text.ts';
import { writeBase64, writeHexAsBase64 } from './base64.ts';
import type { ByteWriter } from './byte-writer.ts';
import { writeDecimal, writeVariableDecimal } from './connect-decimal.ts';
import {
  writeDuration,
  writeEpochDays,
  writeEpochTime,
  writeTimeOfDay,
  writeZonedTime,
  writeZonedTimestamp,
} from './epoch-time.ts';
import { writeJavaFloat } from './java-float.ts';
import { JSON_FALSE, JSON_TRUE, writeJacksonString, writeJsonString } from './json-text.ts';

/*
  A value's text to the JSON that Debezium's PostgreSQL connector and Kafka Connect's JSON converter, schemas off, make of it
  with the connector's default modes.
  https://debezium.io/documentation/reference/3.0/connectors/postgresql.html#postgresql-data-types

    bool, bit(1)               true, false
    int2 int4 int8 oid         number
    float4 float8              as Java prints them (java-float.ts); "NaN", "Infinity", "-Infinity"
    numeric money              Decimal: base64 of the unscaled number; numeric without a precision {"scale":…,"value":…}
                               (connect-decimal.ts)
    bytea                      base64
    bit(n), bit varying        base64 of the bits as bytes, lowest first, as many as there are up to the last bit that is set
    date … interval            numbers and strings (epoch-time.ts)
    point                      {"x":…,"y":…,"wkb":…,"srid":null}
    arrays of these            JSON arrays
    everything else            Postgres's text as a string: json and jsonb too, uuid, xml, network addresses, ranges, enums

  Where Debezium stops or leaves the column out, the text is written as a string: NaN and Infinity of a numeric, composite
  types, multiranges, geometry other than points. So is what needs a type's name, which is not known here: a domain is not
  unpacked, and hstore stays as Postgres prints it.

  The value that an UPDATE left out as unchanged is `__debezium_unavailable_value`; of bytea its base64, of arrays one
  element of it, or of numbers its bytes.
  https://debezium.io/documentation/reference/3.0/connectors/postgresql.html#postgresql-toasted-values
*/

/** How values of a column are written. */
export interface DebeziumType {
  readonly write: WriteElement;
  /** What stands for a large value that is not sent. */
  readonly unavailable: Buffer;
  /** Whether every value is short, so that there is nothing to leave out. */
  readonly isShort: boolean;
}

export const PLACEHOLDER = '__debezium_unavailable_value';
const UNAVAILABLE = Buffer.from(`"${PLACEHOLDER}"`);
const UNAVAILABLE_BYTES = Buffer.from(`"${Buffer.from(PLACEHOLDER).toString('base64')}"`);
const UNAVAILABLE_LIST = Buffer.from(`["${PLACEHOLDER}"]`);
const UNAVAILABLE_NUMBERS = Buffer.from(JSON.stringify([...Buffer.from(PLACEHOLDER)]));

/** Arrays whose elements are treated specially here and not in the NATIVE envelope. */
export const MORE_ELEMENTS: ReadonlyMap<number, number> = new Map([
  [143, 142],
  [775, 774],
  [1017, OID.point],
  [1561, OID.bit],
  [1563, OID.varbit],
  [791, OID.money],
  [3905, 3904],
  [3907, 3906],
  [3909, 3908],
  [3911, 3910],
  [3913, 3912],
  [3927, 3926],
]);

/** Arrays of these say that they are not available in numbers. */
export const NUMBERED: ReadonlySet<number> = new Set([OID.int2, OID.int4, OID.int8, OID.oid, OID.date]);

export const SHORT: ReadonlySet<number> = new Set([
  OID.bool,
  OID.int2,
  OID.int4,
  OID.int8,
  OID.oid,
  OID.float4,
  OID.float8,
  OID.money,
  OID.date,
  OID.time,
  OID.timetz,
  OID.timestamp,
  OID.timestamptz,
  OID.interval,
  OID.uuid,
  OID.point,
]);

/** The type of a column: its OID, and its modifier for precision and scale. */
export function debeziumType({ typeOid, typeModifier }: RelationColumn): DebeziumType {
  const element = ELEMENT_OID.get(typeOid) ?? MORE_ELEMENTS.get(typeOid);
  if (element !== undefined) {
    const writeElement = scalarWriter(element, typeModifier);
    return {
      write: (out, data, start, end) => writeArray(out, writeElement, data, start, end),
      unavailable: NUMBERED.has(element) ? UNAVAILABLE_NUMBERS : UNAVAILABLE_LIST,
      isShort: false,
    };
  }
  return {
    write: scalarWriter(typeOid, typeModifier),
    unavailable: typeOid === OID.bytea ? UNAVAILABLE_BYTES : UNAVAILABLE,
    isShort: SHORT.has(typeOid),
  };
}

/** Digits of a second's fraction that a column has where nothing is said. */
export const DEFAULT_PRECISION = 6;
/** Up to so many digits, times and timestamps are in milliseconds. */
export const MILLIS_PRECISION = 3;
/** `VARHDRSZ`, which a numeric's modifier has added. */
export const MODIFIER_OFFSET = 4;
export const MONEY_SCALE = 2;

function scalarWriter(oid: number, modifier: number): WriteElement {
  const precision = modifier < 0 ? DEFAULT_PRECISION : modifier;
  const millis = precision <= MILLIS_PRECISION;
  switch (oid) {
    case OID.bool:
      return (out, data, start) => out.raw(data[start] === 0x74 ? JSON_TRUE : JSON_FALSE);
    case OID.int2:
    case OID.int4:
    case OID.int8:
    case OID.oid:
      return (out, data, start, end) => out.slice(data, start, end);
    case OID.float4:
      return (out, data, start, end) => writeJavaFloat(out, data, start, end, 'single');
    case OID.float8:
      return (out, data, start, end) => writeJavaFloat(out, data, start, end, 'double');
    case OID.numeric: {
      if (modifier < MODIFIER_OFFSET) return writeVariableDecimal;
      const scale = scaleOf(modifier);
      return (out, data, start, end) => writeDecimal(out, data, start, end, scale);
    }
    case OID.money:
      return writeMoney;
    case OID.bytea:
      return writeBytes;
    case OID.bit:
    case OID.varbit:
      return modifier === 1 ? writeBit : writeBits;
    case OID.date:
      return writeEpochDays;
    case OID.time:
      return (out, data, start, end) => writeTimeOfDay(out, data, start, end, millis);
    case OID.timetz:
      return writeZonedTime;
    case OID.timestamp:
      return (out, data, start, end) => writeEpochTime(out, data, start, end, millis);
    case OID.timestamptz:
      return (out, data, start, end) => writeZonedTimestamp(out, data, start, end, precision);
    case OID.interval:
      return writeDuration;
    case OID.point:
      return writePoint;
    default:
      return writeJacksonString;
  }
}

/** 11 bits, signed. https://git.postgresql.org/gitweb/?p=postgresql.git;a=blob;f=src/backend/utils/adt/numeric.c */
export function scaleOf(modifier: number): number {
  return (((modifier - MODIFIER_OFFSET) & 0x7ff) ^ 1024) - 1024;
}

function writeBytes(out: ByteWriter, data: Buffer, start: number, end: number): void {
  if (!writeHexAsBase64(out, data, start, end)) writeJsonString(out, data, start, end);
}

const MONEY = /^(-?)\D?((?:\d{1,3})(?:,?\d{3})*(?:\.\d+)?)$|^\(\D?(\d{1,3}(?:,?\d{3})*(?:\.\d+)?)\)$/;

/** `$1,234.50`; of another locale's notation, where the point may be the comma, the text. */
function writeMoney(out: ByteWriter, data: Buffer, start: number, end: number): void {
  const text = moneyNumber(data, start, end);
  if (text === null) writeJsonString(out, data, start, end);
  else writeDecimal(out, text, 0, text.length, MONEY_SCALE);
}

/** `$1,234.50` as 1234.50; null where it is of another locale's notation. */
export function moneyNumber(data: Buffer, start: number, end: number): Buffer | null {
  const parts = end - start > 40 ? null : MONEY.exec(data.toString('utf8', start, end));
  if (parts === null) return null;
  const isNegative = parts[1] === '-' || parts[3] !== undefined;
  return Buffer.from(`${isNegative ? '-' : ''}${(parts[2] ?? parts[3] ?? '').replaceAll(',', '')}`, 'latin1');
}

const ONE = 0x31;

function writeBit(out: ByteWriter, data: Buffer, start: number): void {
  out.raw(data[start] === ONE ? JSON_TRUE : JSON_FALSE);
}

function writeBits(out: ByteWriter, data: Buffer, start: number, end: number): void {
  const bytes = bitBytes(data, start, end);
  writeBase64(out, bytes, 0, bytes.length);
}

/** Bits as bytes, lowest first, as many as there are up to the last that is set. */
export function bitBytes(data: Buffer, start: number, end: number): Buffer {
  let first = start;
  while (first < end && data[first] !== ONE) first++;
  const bytes = Buffer.alloc(Math.ceil((end - first) / 8));
  for (let at = first; at < end; at++) {
    const bit = end - at - 1;
    if (data[at] === ONE) bytes[bit >> 3]! |= 1 << (bit & 7);
  }
  return bytes;
}

const X = Buffer.from('{"x":');
const Y = Buffer.from(',"y":');
const WKB = Buffer.from(',"wkb":');
const SRID = Buffer.from(',"srid":null}');
/** Little-endian, type 1, two doubles. https://portal.ogc.org/files/?artifact_id=25355 */
const wkb = Buffer.alloc(21);
wkb.writeUInt8(1, 0);
wkb.writeUInt32LE(1, 1);

/** Of `(x,y)` where the comma is; null where the text is another. */
export function commaOfPoint(data: Buffer, start: number, end: number): number | null {
  const comma = data.indexOf(0x2c, start);
  return data[start] !== 0x28 || comma < 0 || comma >= end || data[end - 1] !== 0x29 ? null : comma;
}

/** The point as well-known binary, in a buffer that is used again. */
export function pointWkb(x: number, y: number): Buffer {
  wkb.writeDoubleLE(x, 5);
  wkb.writeDoubleLE(y, 13);
  return wkb;
}

function writePoint(out: ByteWriter, data: Buffer, start: number, end: number): void {
  const comma = commaOfPoint(data, start, end);
  if (comma === null) {
    writeJsonString(out, data, start, end);
    return;
  }
  out.raw(X);
  writeJavaFloat(out, data, start + 1, comma, 'double');
  out.raw(Y);
  writeJavaFloat(out, data, comma + 1, end - 1, 'double');
  out.raw(WKB);
  const x = Number(data.toString('latin1', start + 1, comma));
  writeBase64(out, pointWkb(x, Number(data.toString('latin1', comma + 1, end - 1))), 0, wkb.length);
  out.raw(SRID);
}
