import type { Position } from '../model/change.ts';

const POSITION_BYTES = 20;

/** 20 bytes each, comparing as positions do. */
export function encodePositions(positions: readonly Position[]): Buffer {
  const bytes = Buffer.allocUnsafe(positions.length * POSITION_BYTES);
  let at = 0;
  for (const { commitLsn, lsn, ordinal } of positions) {
    bytes.writeBigUInt64BE(commitLsn, at);
    bytes.writeBigUInt64BE(lsn, at + 8);
    bytes.writeUInt32BE(ordinal, at + 16);
    at += POSITION_BYTES;
  }
  return bytes;
}

export function decodePositions(bytes: Buffer): Position[] {
  const positions: Position[] = [];
  for (let at = 0; at + POSITION_BYTES <= bytes.length; at += POSITION_BYTES) {
    positions.push({
      commitLsn: bytes.readBigUInt64BE(at),
      lsn: bytes.readBigUInt64BE(at + 8),
      ordinal: bytes.readUInt32BE(at + 16),
    });
  }
  return positions;
}
