/*
  CRC-32C (Castagnoli), which Node has not: eight tables, eight bytes a step ("slicing-by-8", Kounavis and Berry, 2005).
  https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4
*/

const POLYNOMIAL = 0x82f63b78;
const STEP = 8;

const TABLES: readonly Int32Array[] = makeTables();

function makeTables(): readonly Int32Array[] {
  const tables = Array.from({ length: STEP }, () => new Int32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
    tables[0]![byte] = value;
  }
  for (let byte = 0; byte < 256; byte++) {
    for (let n = 1; n < STEP; n++) {
      const before = tables[n - 1]![byte]!;
      tables[n]![byte] = tables[0]![before & 0xff]! ^ (before >>> 8);
    }
  }
  return tables;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as unknown as readonly [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** Of the bytes from `start` on, as an unsigned number of 32 bits. */
export function crc32c(bytes: Buffer, start = 0): number {
  let crc = -1;
  let at = start;
  for (const last = bytes.length - STEP; at <= last; at += STEP) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      T7[low & 0xff]! ^
      T6[(low >>> 8) & 0xff]! ^
      T5[(low >>> 16) & 0xff]! ^
      T4[low >>> 24]! ^
      T3[bytes[at + 4]!]! ^
      T2[bytes[at + 5]!]! ^
      T1[bytes[at + 6]!]! ^
      T0[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = T0[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
