import { ELEMENT_OID, OID } from '../postgres/oid.ts';
import type { ByteWriter } from './byte-writer.ts';
import { type WriteElement, writeArray } from './array-text.ts';
import { writeHexAsBase64 } from './base64.ts';
import { JSON_FALSE, JSON_TRUE, writeJsonString, writeRawJson } from './json-text.ts';

/*
  A value's text, as Postgres prints it with `datestyle=ISO`, `timezone=UTC`, `bytea_output=hex` and
  `extra_float_digits=3`, to JSON. Bytes to bytes: nothing becomes a JavaScript number or Date on its way, so no digit is
  lost.

    bool                       true, false
    int2 int4                  number
    float4 float8              number; "NaN", "Infinity", "-Infinity" as strings
    json jsonb                 the value itself, spliced in
    timestamp                  "2026-01-05T10:00:00.123456"       always six digits of fraction
    timestamptz                "2026-01-05T10:00:00.123456Z"
                               infinity, BC and years past 9999: Postgres's text
    bytea                      base64
    arrays of built-in types   JSON arrays of the above, nested; lower bounds are not kept
    int8 numeric               Postgres's text as a string, or, where that is asked for, a number with the same digits
                               (NaN and infinities are strings all the same)
    everything else            Postgres's text as a string (date, time, interval, uuid, enums, ranges, …)
*/

export const KIND = {
  text: 0,
  number: 1,
  float: 2,
  bool: 3,
  json: 4,
  timestamp: 5,
  timestamptz: 6,
  bytea: 7,
  array: 8,
} as const;

type ScalarKind = Exclude<(typeof KIND)[keyof typeof KIND], typeof KIND.array>;

/** How values of a type are written. */
export interface ValueKind {
  readonly kind: (typeof KIND)[keyof typeof KIND];
  /** Of an array's elements. */
  readonly element: ScalarKind;
}

const SCALARS: ReadonlyMap<number, ScalarKind> = new Map<number, ScalarKind>([
  [OID.bool, KIND.bool],
  [OID.int2, KIND.number],
  [OID.int4, KIND.number],
  [OID.float4, KIND.float],
  [OID.float8, KIND.float],
  [OID.json, KIND.json],
  [OID.jsonb, KIND.json],
  [OID.timestamp, KIND.timestamp],
  [OID.timestamptz, KIND.timestamptz],
  [OID.bytea, KIND.bytea],
]);

/** Of these the text is a number that JSON can say and many readers cannot hold; NaN and Infinity are told as of floats. */
const LONG_NUMBERS: ReadonlyMap<number, ScalarKind> = new Map<number, ScalarKind>([
  [OID.int8, KIND.number],
  [OID.numeric, KIND.float],
]);

/** `numbers`: how int8 and numeric are written. */
export function valueKind(typeOid: number, numbers: 'string' | 'number' = 'string'): ValueKind {
  const scalar = (oid: number): ScalarKind =>
    SCALARS.get(oid) ?? (numbers === 'number' ? LONG_NUMBERS.get(oid) : undefined) ?? KIND.text;
  const element = ELEMENT_OID.get(typeOid);
  if (element !== undefined) return { kind: KIND.array, element: scalar(element) };
  return { kind: scalar(typeOid), element: KIND.text };
}

/** Writes the value whose text is `data[start, end)`. Text that is not what its type prints is written as a string. */
export function writeValue(out: ByteWriter, type: ValueKind, data: Buffer, start: number, end: number): void {
  if (type.kind === KIND.array) writeArray(out, ELEMENTS[type.element]!, data, start, end);
  else writeScalar(out, type.kind, data, start, end);
}

const ELEMENTS: readonly WriteElement[] = Object.values(KIND).map(
  (kind) => (out, data, start, end) => writeScalar(out, kind as ScalarKind, data, start, end),
);

function writeScalar(out: ByteWriter, kind: ScalarKind, data: Buffer, start: number, end: number): void {
  switch (kind) {
    case KIND.text:
      writeJsonString(out, data, start, end);
      return;
    case KIND.number:
      out.slice(data, start, end);
      return;
    case KIND.float:
      if (isFinite(data, start, end)) out.slice(data, start, end);
      else writeJsonString(out, data, start, end);
      return;
    case KIND.bool:
      out.raw(data[start] === 0x74 ? JSON_TRUE : JSON_FALSE);
      return;
    case KIND.json:
      writeRawJson(out, data, start, end);
      return;
    case KIND.timestamp:
      if (!writeTimestamp(out, data, start, end, false)) writeJsonString(out, data, start, end);
      return;
    case KIND.timestamptz:
      if (!writeTimestamp(out, data, start, end, true)) writeJsonString(out, data, start, end);
      return;
    case KIND.bytea:
      if (!writeHexAsBase64(out, data, start, end)) writeJsonString(out, data, start, end);
  }
}

/** NaN, Infinity and -Infinity are the only texts of a float that end in a letter. */
function isFinite(data: Buffer, start: number, end: number): boolean {
  return end > start && isDigit(data[end - 1]!);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

const FRACTION_DIGITS = 6;
/** `2026-01-05 10:00:00` */
const SECONDS_END = 19;

/**
 * `2026-01-05 10:00:00[.1…][+00[:00]]` to RFC 3339. False, with nothing written, where the text is of another shape: the
 * fixed columns of the separators tell a year of four digits, and what follows the zone tells BC.
 */
function writeTimestamp(out: ByteWriter, data: Buffer, start: number, end: number, zoned: boolean): boolean {
  if (end - start < SECONDS_END) return false;
  if (data[start + 4] !== 0x2d || data[start + 10] !== 0x20 || data[start + 13] !== 0x3a) return false;
  let at = start + SECONDS_END;
  let fraction = 0;
  if (data[at] === 0x2e) {
    at++;
    while (at + fraction < end && isDigit(data[at + fraction]!)) fraction++;
  }
  const zoneStart = at + fraction;
  if (fraction > FRACTION_DIGITS || !isZone(data, zoneStart, end, zoned)) return false;
  const begin = out.length;
  out.byte(0x22);
  out.slice(data, start, start + SECONDS_END);
  out.bytes[begin + 11] = 0x54;
  out.byte(0x2e);
  out.slice(data, at, zoneStart);
  for (let i = fraction; i < FRACTION_DIGITS; i++) out.byte(0x30);
  if (zoned) writeZone(out, data, zoneStart, end);
  out.byte(0x22);
  return true;
}

/** `±hh` or `±hh:mm` where there should be a zone, nothing where not. Zones with seconds have no RFC 3339 form. */
function isZone(data: Buffer, start: number, end: number, zoned: boolean): boolean {
  if (!zoned) return start === end;
  const sign = data[start];
  if (sign !== 0x2b && sign !== 0x2d) return false;
  return end - start === 3 || (end - start === 6 && data[start + 3] === 0x3a);
}

function writeZone(out: ByteWriter, data: Buffer, start: number, end: number): void {
  if (end - start === 3 && data[start] === 0x2b && data[start + 1] === 0x30 && data[start + 2] === 0x30) {
    out.byte(0x5a);
    return;
  }
  out.slice(data, start, end);
  if (end - start === 3) {
    out.byte(0x3a);
    out.byte(0x30);
    out.byte(0x30);
  }
}
