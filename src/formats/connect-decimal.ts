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

/** The text `data[start, end)` of a numeric of the scale, which the type has. What is no finite number is a string. */
export function writeDecimal(out: ByteWriter, data: Buffer, start: number, end: number, scale: number): void {
  const point = pointOf(data, start, end);
  if (point === null || fractionOf(point, end) > Math.max(0, scale)) {
    writeJsonString(out, data, start, end);
    return;
  }
  if (scale < 0) writeUnscaled(out, data, start, Math.max(start + 1, point + scale), point, 0);
  else writeUnscaled(out, data, start, end, point, scale - fractionOf(point, end));
}

/** The text of a numeric that has its own scale. */
export function writeVariableDecimal(out: ByteWriter, data: Buffer, start: number, end: number): void {
  const point = pointOf(data, start, end);
  if (point === null) {
    writeJsonString(out, data, start, end);
    return;
  }
  let last = end;
  if (point < end) {
    while (data[last - 1] === ZERO) last--;
    if (last === point + 1) last = point;
  }
  out.raw(SCALE);
  out.unsigned(fractionOf(point, last));
  out.raw(VALUE);
  writeUnscaled(out, data, start, last, point, 0);
  out.byte(0x7d);
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

function writeUnscaled(out: ByteWriter, data: Buffer, start: number, end: number, point: number, zeros: number): void {
  if (end - start + zeros > EXACT_DIGITS) {
    const text = data.toString('latin1', start, end).replace('.', '');
    writeWhole(out, BigInt(text) * 10n ** BigInt(zeros));
    return;
  }
  let value = 0;
  const isNegative = data[start] === MINUS;
  for (let at = isNegative ? start + 1 : start; at < end; at++) {
    if (at !== point) value = value * 10 + (data[at]! - ZERO);
  }
  for (let i = 0; i < zeros; i++) value *= 10;
  writeSmall(out, isNegative ? -value : value);
}

function writeSmall(out: ByteWriter, value: number): void {
  let count = 1;
  for (let limit = 128; value >= limit || value < -limit; limit *= 256) count++;
  let rest = value;
  for (let i = count - 1; i >= 0; i--) {
    const next = Math.floor(rest / 256);
    bytes[i] = rest - next * 256;
    rest = next;
  }
  writeBase64(out, bytes, 0, count);
}

/** A whole number of any size, in two's complement. */
function writeWhole(out: ByteWriter, value: bigint): void {
  const magnitude = value < 0n ? -value - 1n : value;
  const hex = magnitude.toString(16);
  const needsSign = hex.length % 2 === 0 && hex.charCodeAt(0) >= 0x38;
  const whole = Buffer.from(`${needsSign ? '00' : hex.length % 2 === 0 ? '' : '0'}${hex}`, 'hex');
  if (value < 0n) for (let i = 0; i < whole.length; i++) whole[i] = ~whole[i]! & 0xff;
  writeBase64(out, whole, 0, whole.length);
}
