import { ELEMENT_OID, OID } from '../postgres/oid.ts';
import type { ByteWriter } from './byte-writer.ts';
import { writeJsonString, writeRawJson } from './json-text.ts';

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
    everything else            Postgres's text as a string (int8, numeric, date, time, interval, uuid, enums, ranges, …)
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

export function valueKind(typeOid: number): ValueKind {
  const element = ELEMENT_OID.get(typeOid);
  if (element !== undefined) return { kind: KIND.array, element: SCALARS.get(element) ?? KIND.text };
  return { kind: SCALARS.get(typeOid) ?? KIND.text, element: KIND.text };
}

/** Writes the value whose text is `data[start, end)`. Text that is not what its type prints is written as a string. */
export function writeValue(out: ByteWriter, type: ValueKind, data: Buffer, start: number, end: number): void {
  if (type.kind === KIND.array) writeArray(out, type.element, data, start, end);
  else writeScalar(out, type.kind, data, start, end);
}

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
      out.raw(data[start] === 0x74 ? TRUE : FALSE);
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
      if (!writeBase64(out, data, start, end)) writeJsonString(out, data, start, end);
  }
}

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
export const JSON_NULL = Buffer.from('null');

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
const UTC_ZONE = Buffer.from('+00');

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
  if (end - start === 3 && data.compare(UTC_ZONE, 0, 3, start, end) === 0) {
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

const BASE64 = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1');
const PADDING = 0x3d;
const HEX_VALUE = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) {
  HEX_VALUE['0123456789abcdef'.charCodeAt(i)] = i;
  HEX_VALUE['0123456789ABCDEF'.charCodeAt(i)] = i;
}

/** `\x…` to base64 (RFC 4648, section 4). False, with nothing written, where the text is no hexadecimal. */
function writeBase64(out: ByteWriter, data: Buffer, start: number, end: number): boolean {
  if (data[start] !== 0x5c || data[start + 1] !== 0x78 || (end - start) % 2 !== 0) return false;
  const count = (end - start - 2) / 2;
  out.reserve(Math.ceil(count / 3) * 4 + 2);
  const { bytes } = out;
  let at = out.length;
  bytes[at++] = 0x22;
  let bad = 0;
  const byteAt = (i: number): number => {
    if (i >= count) return 0;
    const high = HEX_VALUE[data[start + 2 + 2 * i]!]!;
    const low = HEX_VALUE[data[start + 3 + 2 * i]!]!;
    bad |= (high | low) & 0x80;
    return (high << 4) | low;
  };
  for (let i = 0; i < count; i += 3) {
    const word = ((byteAt(i) & 0xff) << 16) | ((byteAt(i + 1) & 0xff) << 8) | (byteAt(i + 2) & 0xff);
    bytes[at++] = BASE64[word >> 18]!;
    bytes[at++] = BASE64[(word >> 12) & 63]!;
    bytes[at++] = i + 1 < count ? BASE64[(word >> 6) & 63]! : PADDING;
    bytes[at++] = i + 2 < count ? BASE64[word & 63]! : PADDING;
  }
  if (bad !== 0) return false;
  bytes[at++] = 0x22;
  out.length = at;
  return true;
}

const OPEN = 0x7b;
const CLOSE = 0x7d;
const COMMA = 0x2c;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Postgres's MAXDIM. */
const MAX_DEPTH = 6;

/**
 * An array's text to a JSON array. Anything that is not the output of array_out is written as a string.
 * https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
 */
function writeArray(out: ByteWriter, element: ScalarKind, data: Buffer, start: number, end: number): void {
  const begin = out.length;
  let at = start;
  // Lower bounds other than 1: [0:2]={1,2,3}
  if (data[at] === 0x5b) {
    const equals = data.indexOf('={', at, 'latin1');
    at = equals === -1 ? end : equals + 1;
  }
  if (at < end && new ArrayText(out, element, data, end).write(at) === end) return;
  out.length = begin;
  writeJsonString(out, data, start, end);
}

const MALFORMED = -1;

/** One pass over an array's text. Its methods return the offset past what they wrote, or `MALFORMED`. */
class ArrayText {
  readonly #out: ByteWriter;
  readonly #element: ScalarKind;
  readonly #data: Buffer;
  readonly #end: number;

  constructor(out: ByteWriter, element: ScalarKind, data: Buffer, end: number) {
    this.#out = out;
    this.#element = element;
    this.#data = data;
    this.#end = end;
  }

  write(start: number, depth = 0): number {
    const data = this.#data;
    if (data[start] !== OPEN || depth >= MAX_DEPTH) return MALFORMED;
    this.#out.byte(0x5b);
    let at = start + 1;
    if (data[at] === CLOSE) {
      this.#out.byte(0x5d);
      return at + 1;
    }
    while (at < this.#end) {
      at = this.#item(at, depth);
      if (at === MALFORMED) return MALFORMED;
      const next = data[at++];
      if (next === CLOSE) {
        this.#out.byte(0x5d);
        return at;
      }
      if (next !== COMMA) return MALFORMED;
      this.#out.byte(COMMA);
    }
    return MALFORMED;
  }

  #item(at: number, depth: number): number {
    if (this.#data[at] === OPEN) return this.write(at, depth + 1);
    return this.#data[at] === DOUBLE_QUOTE ? this.#quoted(at + 1) : this.#bare(at);
  }

  #bare(start: number): number {
    const data = this.#data;
    let at = start;
    while (at < this.#end && data[at] !== COMMA && data[at] !== CLOSE) at++;
    if (at === start || at >= this.#end) return MALFORMED;
    // An element whose text is NULL is quoted; bare it is the null.
    if (at - start === 4 && data.toString('latin1', start, at) === 'NULL') this.#out.raw(JSON_NULL);
    else writeScalar(this.#out, this.#element, data, start, at);
    return at;
  }

  #quoted(start: number): number {
    const data = this.#data;
    let at = start;
    let escapes = 0;
    while (at < this.#end && data[at] !== DOUBLE_QUOTE) {
      if (data[at] === BACKSLASH) {
        escapes++;
        at++;
      }
      at++;
    }
    if (at >= this.#end) return MALFORMED;
    if (escapes === 0) {
      writeScalar(this.#out, this.#element, data, start, at);
    } else {
      const plain = unescape(data, start, at, escapes);
      writeScalar(this.#out, this.#element, plain, 0, plain.length);
    }
    return at + 1;
  }
}

function unescape(data: Buffer, start: number, end: number, escapes: number): Buffer {
  const plain = Buffer.allocUnsafe(end - start - escapes);
  let out = 0;
  for (let i = start; i < end; i++) {
    if (data[i] === BACKSLASH) i++;
    plain[out++] = data[i]!;
  }
  return plain;
}
