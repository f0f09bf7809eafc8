import { isUtf8 } from 'node:buffer';
import { ByteWriter } from './byte-writer.ts';

/*
  Avro's binary encoding.
  https://avro.apache.org/docs/1.12.0/specification/#binary-encoding

    null            nothing
    boolean         Byte(0 or 1)
    int, long       zigzag; then 7 bits a byte, the lowest first, with the eighth set on all but the last
    float, double   IEEE 754, little-endian
    bytes, string   long(how many) bytes
    record          its fields, in order
    array           [long(how many) items] long(0)
    union           long(which branch) its value
*/

/** The branches of `["null", T]`, encoded. */
export const NULL_BRANCH = 0x00;
export const VALUE_BRANCH = 0x02;

/** Twice of what is below a double holds. */
const EXACT = 2 ** 52;
const MIN_LONG = -(2n ** 63n);
const MAX_LONG = 2n ** 63n - 1n;

/** A whole number below 2^52 either way. */
export function writeLong(out: ByteWriter, value: number): void {
  out.reserve(10);
  const { bytes } = out;
  let at = out.length;
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  while (rest >= 0x8000_0000) {
    const next = Math.floor(rest / 128);
    bytes[at++] = (rest - next * 128) | 0x80;
    rest = next;
  }
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  out.length = at;
}

/** Any long. */
export function writeBigLong(out: ByteWriter, value: bigint): void {
  let rest = value < 0n ? -2n * value - 1n : 2n * value;
  while (rest >= 0x80n) {
    out.byte(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  out.byte(Number(rest));
}

/** The whole number that `data[start, end)` is in decimal. False, with nothing written, where it is none, or no long. */
export function writeLongText(out: ByteWriter, data: Buffer, start: number, end: number): boolean {
  const isNegative = data[start] === 0x2d;
  const first = isNegative ? start + 1 : start;
  if (first >= end || end - first > 19) return false;
  let value = 0;
  for (let at = first; at < end; at++) {
    const digit = data[at]! - 0x30;
    if (digit < 0 || digit > 9) return false;
    value = value * 10 + digit;
  }
  if (value < EXACT) {
    writeLong(out, isNegative ? -value : value);
    return true;
  }
  const exact = BigInt(data.toString('latin1', start, end));
  if (exact < MIN_LONG || exact > MAX_LONG) return false;
  writeBigLong(out, exact);
  return true;
}

const eight = new Uint8Array(8);
const view = new DataView(eight.buffer);

export function writeDouble(out: ByteWriter, value: number): void {
  view.setFloat64(0, value, true);
  copyEight(out, 8);
}

export function writeFloat(out: ByteWriter, value: number): void {
  view.setFloat32(0, value, true);
  copyEight(out, 4);
}

function copyEight(out: ByteWriter, count: number): void {
  out.reserve(count);
  for (let i = 0; i < count; i++) out.bytes[out.length++] = eight[i]!;
}

/** `bytes[start, end)` as bytes. */
export function writeBytes(out: ByteWriter, bytes: Uint8Array, start: number, end: number): void {
  writeLong(out, end - start);
  out.reserve(end - start);
  out.bytes.set(bytes.subarray(start, end), out.length);
  out.length += end - start;
}

/**
 * `data[start, end)` as a string. Bytes that are no UTF-8 (a database of encoding SQL_ASCII may hold them) become U+FFFD, as
 * they do in JSON.
 */
export function writeText(out: ByteWriter, data: Buffer, start: number, end: number): void {
  let seen = 0;
  for (let at = start; at < end; at++) seen |= data[at]!;
  if (seen >= 0x80 && !isUtf8(data.subarray(start, end))) {
    const text = Buffer.from(data.toString('utf8', start, end), 'utf8');
    writeLong(out, text.length);
    out.raw(text);
    return;
  }
  writeLong(out, end - start);
  out.slice(data, start, end);
}

const HEX_VALUE = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) HEX_VALUE['0123456789abcdef'.charCodeAt(i)] = i;

/** A bytea's `\x…` as bytes. False, with nothing written, where it is none. */
export function writeHex(out: ByteWriter, data: Buffer, start: number, end: number): boolean {
  if (data[start] !== 0x5c || data[start + 1] !== 0x78 || (end - start) % 2 !== 0) return false;
  const begin = out.length;
  writeLong(out, (end - start - 2) / 2);
  out.reserve((end - start - 2) / 2);
  const { bytes } = out;
  let bad = 0;
  let to = out.length;
  for (let at = start + 2; at < end; at += 2) {
    const high = HEX_VALUE[data[at]!]!;
    const low = HEX_VALUE[data[at + 1]!]!;
    bad |= high | low;
    bytes[to++] = (high << 4) | low;
  }
  out.length = bad < 16 ? to : begin;
  return bad < 16;
}

/** The bytes that `write` writes. */
export function encoded(write: (out: ByteWriter) => void): Buffer {
  const out = new ByteWriter(256);
  write(out);
  return out.copy();
}

/** The texts as strings, one after the other. */
export function encodedTexts(...texts: readonly string[]): Buffer {
  return encoded((out) => {
    for (const text of texts) {
      const bytes = Buffer.from(text, 'utf8');
      writeText(out, bytes, 0, bytes.length);
    }
  });
}
