import { isUtf8 } from 'node:buffer';
import type { ByteWriter } from './byte-writer.ts';

/*
  Text as JSON strings, from bytes to bytes.
  https://www.rfc-editor.org/rfc/rfc8259#section-7
*/

export const JSON_NULL = Buffer.from('null');
export const JSON_TRUE = Buffer.from('true');
export const JSON_FALSE = Buffer.from('false');

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const HEX = Buffer.from('0123456789abcdef', 'latin1');
const UPPER_HEX = Buffer.from('0123456789ABCDEF', 'latin1');

/** The letter after the backslash where JSON has a short escape for a byte, otherwise 0. */
const SHORT_ESCAPE = new Uint8Array(256);
for (const [byte, letter] of [
  [0x08, 'b'],
  [0x09, 't'],
  [0x0a, 'n'],
  [0x0c, 'f'],
  [0x0d, 'r'],
  [QUOTE, '"'],
  [BACKSLASH, '\\'],
] as const) {
  SHORT_ESCAPE[byte] = letter.charCodeAt(0);
}

const ESCAPED = 1;
const NOT_ASCII = 2;
/** What bytes want: to be escaped, to be looked at as UTF-8. */
const CLASS = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 0x80) return NOT_ASCII;
  return byte < 0x20 || byte === QUOTE || byte === BACKSLASH ? ESCAPED : 0;
});

/** Room is reserved for this much input at a time, six bytes for each, so that a large value does not reserve six-fold. */
const SLICE_BYTES = 4096;

/**
 * Writes `data[start, end)` as a JSON string. Bytes that are no UTF-8 (a database of encoding SQL_ASCII may hold them) become
 * U+FFFD: what is sent is always valid.
 */
export function writeJsonString(out: ByteWriter, data: Buffer, start: number, end: number): void {
  writeQuoted(out, data, start, end, HEX);
}

/** The same as Jackson writes it, which escapes in upper case: `\\u001F`. */
export function writeJacksonString(out: ByteWriter, data: Buffer, start: number, end: number): void {
  writeQuoted(out, data, start, end, UPPER_HEX);
}

function writeQuoted(out: ByteWriter, data: Buffer, start: number, end: number, hex: Buffer): void {
  const begin = out.length;
  out.byte(QUOTE);
  let seen = 0;
  for (let i = start; i < end; i++) seen |= CLASS[data[i]!]!;
  if ((seen & ESCAPED) === 0) out.slice(data, start, end);
  else {
    for (let from = start; from < end; from += SLICE_BYTES) {
      writeEscaped(out, data, from, Math.min(end, from + SLICE_BYTES), hex);
    }
  }
  if ((seen & NOT_ASCII) !== 0 && !isUtf8(data.subarray(start, end))) {
    out.length = begin;
    const repaired = Buffer.from(data.toString('utf8', start, end), 'utf8');
    writeQuoted(out, repaired, 0, repaired.length, hex);
    return;
  }
  out.byte(QUOTE);
}

/** Writes bytes that are JSON already; repairs only what is no UTF-8. */
export function writeRawJson(out: ByteWriter, data: Buffer, start: number, end: number): void {
  if (isUtf8(data.subarray(start, end))) out.slice(data, start, end);
  else out.raw(Buffer.from(data.toString('utf8', start, end), 'utf8'));
}

/** Writes `data[start, end)` with what JSON wants escaped. */
function writeEscaped(out: ByteWriter, data: Buffer, start: number, end: number, hex: Buffer): void {
  out.reserve((end - start) * 6);
  const { bytes } = out;
  let at = out.length;
  for (let i = start; i < end; i++) {
    const byte = data[i]!;
    if ((CLASS[byte]! & ESCAPED) === 0) {
      bytes[at++] = byte;
      continue;
    }
    bytes[at++] = BACKSLASH;
    const letter = SHORT_ESCAPE[byte]!;
    if (letter !== 0) {
      bytes[at++] = letter;
      continue;
    }
    bytes[at++] = 0x75;
    bytes[at++] = 0x30;
    bytes[at++] = 0x30;
    bytes[at++] = hex[byte >> 4]!;
    bytes[at++] = hex[byte & 15]!;
  }
  out.length = at;
}

/** `text` as the bytes of a JSON string, for what is known beforehand: names. */
export function jsonStringBytes(text: string): Buffer {
  return Buffer.from(JSON.stringify(text.toWellFormed()), 'utf8');
}
