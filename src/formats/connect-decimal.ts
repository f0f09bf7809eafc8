import { writeBase64 } from './base64.ts';
import type { ByteWriter } from './byte-writer.ts';
import { writeJsonString } from './json-text.ts';

/*
  A numeric as Kafka Connect's JSON converter writes its Decimal: the digits without the point as a whole number, big-endian
  and in two's complement, in as few bytes as hold it and its sign, in base64.
  https://kafka.apache.org/39/javadoc/org/apache/kafka/connect/data/Decimal.html

    fixed scale      "MDk="                          numeric(5,2) 123.45
    variable scale   {"scale":2,"value":"MDk="}      numeric 123.45, without zeros at the end of its fraction
*/

const POINT = 0x2e;
const ZERO = 0x30;
const MINUS = 0x2d;
/** So many digits are a whole number that a double holds. */
const EXACT_DIGITS = 15;

const bytes = new Uint8Array(8);
const SCALE = Buffer.from('{"scale":');
const VALUE = Buffer.from(',"value":');

/** Writes the bytes of a whole number. */
export type WriteBytes = (out: ByteWriter, bytes: Uint8Array, start: number, end: number) => void;

/** The text `data[start, end)` of a numeric of the scale, which the type has. What is no finite number is a string. */
export function writeDecimal(out: ByteWriter, data: Buffer, start: number, end: number, scale: number): void {
  if (!writeFixedScale(out, data, start, end, scale, writeBase64)) writeJsonString(out, data, start, end);
}

/** The text of a numeric that has its own scale. */
export function writeVariableDecimal(out: ByteWriter, data: Buffer, start: number, end: number): void {
  if (writeOwnScale(out, data, start, end, writeScaleMember, writeBase64)) out.byte(0x7d);
  else writeJsonString(out, data, start, end);
}

function writeScaleMember(out: ByteWriter, scale: number): void {
  out.raw(SCALE);
  out.unsigned(scale);
  out.raw(VALUE);
}

/** The whole number of a numeric of the scale by `write`. False where the text is none, and nothing is written. */
export function writeFixedScale(
  out: ByteWriter,
  data: Buffer,
  start: number,
  end: number,
  scale: number,
  write: WriteBytes,
): boolean {
  const point = pointOf(data, start, end);
  if (point === null || fractionOf(point, end) > Math.max(0, scale)) return false;
  if (scale < 0) writeUnscaled(out, data, start, Math.max(start + 1, point + scale), point, 0, write);
  else writeUnscaled(out, data, start, end, point, scale - fractionOf(point, end), write);
  return true;
}

/** The scale of a numeric by `writeScale`, and then its whole number by `write`. False as above. */
export function writeOwnScale(
  out: ByteWriter,
  data: Buffer,
  start: number,
  end: number,
  writeScale: (out: ByteWriter, scale: number) => void,
  write: WriteBytes,
): boolean {
  const point = pointOf(data, start, end);
  if (point === null) return false;
  let last = end;
  if (point < end) {
    while (data[last - 1] === ZERO) last--;
    if (last === point + 1) last = point;
  }
  writeScale(out, fractionOf(point, last));
  writeUnscaled(out, data, start, last, point, 0, write);
  return true;
}

function fractionOf(point: number, end: number): number {
  return point < end ? end - point - 1 : 0;
}

/** Where the point is, or the end; null for what is no number: NaN, Infinity. */
function pointOf(data: Buffer, start: number, end: number): number | null {
  let point = end;
  const first = data[start] === MINUS ? start + 1 : start;
  if (first >= end) return null;
  for (let at = first; at < end; at++) {
    const byte = data[at]!;
    if (byte === POINT && point === end) point = at;
    else if (byte < ZERO || byte > 0x39) return null;
  }
  return point;
}

function writeUnscaled(
  out: ByteWriter,
  data: Buffer,
  start: number,
  end: number,
  point: number,
  zeros: number,
  write: WriteBytes,
): void {
  if (end - start + zeros > EXACT_DIGITS) {
    const text = data.toString('latin1', start, end).replace('.', '');
    writeWhole(out, BigInt(text) * 10n ** BigInt(zeros), write);
    return;
  }
  let value = 0;
  const isNegative = data[start] === MINUS;
  for (let at = isNegative ? start + 1 : start; at < end; at++) {
    if (at !== point) value = value * 10 + (data[at]! - ZERO);
  }
  for (let i = 0; i < zeros; i++) value *= 10;
  writeSmall(out, isNegative ? -value : value, write);
}

function writeSmall(out: ByteWriter, value: number, write: WriteBytes): void {
  let count = 1;
  for (let limit = 128; value >= limit || value < -limit; limit *= 256) count++;
  let rest = value;
  for (let i = count - 1; i >= 0; i--) {
    const next = Math.floor(rest / 256);
    bytes[i] = rest - next * 256;
    rest = next;
  }
  write(out, bytes, 0, count);
}

/** A whole number of any size, in two's complement. */
function writeWhole(out: ByteWriter, value: bigint, write: WriteBytes): void {
  const magnitude = value < 0n ? -value - 1n : value;
  const hex = magnitude.toString(16);
  const needsSign = hex.length % 2 === 0 && hex.charCodeAt(0) >= 0x38;
  const whole = Buffer.from(`${needsSign ? '00' : hex.length % 2 === 0 ? '' : '0'}${hex}`, 'hex');
  if (value < 0n) for (let i = 0; i < whole.length; i++) whole[i] = ~whole[i]! & 0xff;
  write(out, whole, 0, whole.length);
}
