import type { ByteWriter } from './byte-writer.ts';

/** From here on a double does not hold every whole number. */
const EXACT_HIGH = 2 ** 21;

/** The LSN in the 8 bytes at `at` as a decimal number. */
export function writeLsnNumber(out: ByteWriter, data: Buffer, at: number): void {
  const high = data.readUInt32BE(at);
  if (high < EXACT_HIGH) out.unsigned(high * 0x1_0000_0000 + data.readUInt32BE(at + 4));
  else out.raw(Buffer.from(data.readBigUInt64BE(at).toString(), 'latin1'));
}
