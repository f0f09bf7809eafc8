/**
 * A position in the write-ahead log: bytes since the beginning, as an unsigned 64-bit integer.
 * Written `XXXXXXXX/XXXXXXXX`, the two halves in hexadecimal without leading zeros.
 * https://www.postgresql.org/docs/current/datatype-pg-lsn.html
 */
export type Lsn = bigint;

const PATTERN = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** The LSN that `text` spells, or null when it spells none. */
export function parseLsn(text: string): Lsn | null {
  const match = PATTERN.exec(text);
  if (!match) return null;
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** As Postgres prints it. */
export function formatLsn(lsn: Lsn): string {
  // Halves of 32 bits are numbers, whose text costs a part of a bigint's.
  return `${hex(Number(lsn >> 32n))}/${hex(Number(lsn & 0xffff_ffffn))}`;
}

function hex(half: number): string {
  return half.toString(16).toUpperCase();
}
