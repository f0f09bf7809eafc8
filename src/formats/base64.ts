import type { ByteWriter } from './byte-writer.ts';

const BASE64 = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1');
const PADDING = 0x3d;
const HEX_VALUE = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) {
  HEX_VALUE['0123456789abcdef'.charCodeAt(i)] = i;
  HEX_VALUE['0123456789ABCDEF'.charCodeAt(i)] = i;
}

/** `\x…` to base64 (RFC 4648, section 4). False, with nothing written, where the text is no hexadecimal. */
export function writeHexAsBase64(out: ByteWriter, data: Buffer, start: number, end: number): boolean {
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

/** `bytes[start, end)` as a JSON string of base64 (RFC 4648, section 4). */
export function writeBase64(out: ByteWriter, bytes: Uint8Array, start: number, end: number): void {
  out.reserve(Math.ceil((end - start) / 3) * 4 + 2);
  const into = out.bytes;
  let at = out.length;
  into[at++] = 0x22;
  for (let i = start; i < end; i += 3) {
    const second = i + 1 < end;
    const third = i + 2 < end;
    const word = (bytes[i]! << 16) | ((second ? bytes[i + 1]! : 0) << 8) | (third ? bytes[i + 2]! : 0);
    into[at++] = BASE64[word >> 18]!;
    into[at++] = BASE64[(word >> 12) & 63]!;
    into[at++] = second ? BASE64[(word >> 6) & 63]! : PADDING;
    into[at++] = third ? BASE64[word & 63]! : PADDING;
  }
  into[at++] = 0x22;
  out.length = at;
}
