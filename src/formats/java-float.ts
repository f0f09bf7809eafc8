import type { ByteWriter } from './byte-writer.ts';
import { writeJsonString } from './json-text.ts';

/*
  A float as Java prints it: `Double.toString` and `Float.toString`, from JDK 19 on.
  https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/Double.html#toString(double)

    10^-3 <= |x| < 10^7     1.0  123.456  0.001
    other                   1.0E7  1.5E-4      one digit before the point, at least one after it
    zero                    0.0  -0.0

  Postgres prints the same digits, the fewest that tell the number, in another notation. They differ where one digit is
  enough and Java, which always prints two, takes the two that are nearest: among the very smallest numbers.
*/

const POINT = 0x2e;
const ZERO = 0x30;
const MINUS = 0x2d;
const UPPER_E = 0x45;
/** Postgres prints 17 significant digits at most, and up to 14 zeros with them. */
const MAX_DIGITS = 64;
const digits = new Uint8Array(MAX_DIGITS);

/** Below this, of which numbers a single digit may be the nearest: 10 to this power. */
const SMALL = { single: -40, double: -310 } as const;

/** Writes the float whose text is `data[start, end)`, or what is no finite number as a string. */
export function writeJavaFloat(
  out: ByteWriter,
  data: Buffer,
  start: number,
  end: number,
  width: 'single' | 'double',
): void {
  let at = start;
  const isNegative = data[at] === MINUS;
  if (isNegative) at++;
  let count = 0;
  /** Digits before the point; of a number below one, the zeros right behind it, negative. */
  let whole = 0;
  let isPastPoint = false;
  for (; at < end; at++) {
    const byte = data[at]!;
    if (byte === POINT && !isPastPoint) {
      isPastPoint = true;
      continue;
    }
    if (byte < ZERO || byte > 0x39) break;
    if (count === MAX_DIGITS) return writeJsonString(out, data, start, end);
    if (count === 0 && byte === ZERO) {
      if (isPastPoint) whole--;
      continue;
    }
    digits[count++] = byte;
    if (!isPastPoint) whole++;
  }
  const exponent = at === end ? 0 : readExponent(data, at, end);
  if (exponent === null || end === start) return writeJsonString(out, data, start, end);
  if (isNegative) out.byte(MINUS);
  while (count > 0 && digits[count - 1] === ZERO) count--;
  if (count === 0) return writeDigits(out, 0, 0);
  let power = whole - 1 + exponent;
  if (count === 1 && power < SMALL[width]) {
    power = takeNearestTwo(data, start, end, width);
    count = digits[1] === ZERO ? 1 : 2;
  }
  if (power >= -3 && power < 7) writePlain(out, count, power);
  else writeScientific(out, count, power);
}

/** `e±n`; null where the text goes on with something else. */
function readExponent(data: Buffer, start: number, end: number): number | null {
  if (data[start] !== 0x65 || start + 1 >= end) return null;
  let at = start + 1;
  const sign = data[at] === MINUS ? -1 : 1;
  if (data[at] === MINUS || data[at] === 0x2b) at++;
  let value = 0;
  for (; at < end; at++) {
    const digit = data[at]! - ZERO;
    if (digit < 0 || digit > 9 || value > 1000) return null;
    value = value * 10 + digit;
  }
  return sign * value;
}

/** Reads the two digits that are nearest to the number into `digits`, and returns the power of ten of the first. */
function takeNearestTwo(data: Buffer, start: number, end: number, width: 'single' | 'double'): number {
  const number = Math.abs(Number(data.toString('latin1', start, end)));
  const text = (width === 'single' ? Math.fround(number) : number).toExponential(1);
  digits[0] = text.charCodeAt(0);
  digits[1] = text.charCodeAt(2);
  return Number(text.slice(text.indexOf('e') + 1));
}

function writePlain(out: ByteWriter, count: number, power: number): void {
  if (power >= 0) {
    writeDigits(out, count, power + 1);
    return;
  }
  out.byte(ZERO);
  out.byte(POINT);
  for (let i = -1; i > power; i--) out.byte(ZERO);
  for (let i = 0; i < count; i++) out.byte(digits[i]!);
}

function writeScientific(out: ByteWriter, count: number, power: number): void {
  writeDigits(out, count, 1);
  out.byte(UPPER_E);
  if (power < 0) out.byte(MINUS);
  out.unsigned(Math.abs(power));
}

/** The digits with `whole` of them before the point: zeros where there are fewer, and at least one behind it. */
function writeDigits(out: ByteWriter, count: number, whole: number): void {
  let at = 0;
  if (whole === 0) out.byte(ZERO);
  for (; at < whole; at++) out.byte(at < count ? digits[at]! : ZERO);
  out.byte(POINT);
  if (at >= count) out.byte(ZERO);
  for (; at < count; at++) out.byte(digits[at]!);
}
