import type { Lsn } from '../postgres/lsn.ts';
import { POSTGRES_EPOCH_MICROS } from '../postgres/pgoutput.ts';

/*
  https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-STANDBY-STATUS-UPDATE

  CopyData => 'd' Int32(length, itself included)
    Standby status update => 'r' Int64(received) Int64(flushed) Int64(applied) Int64(our clock) Byte(1: answer at once)
*/
const STATUS_BYTES = 1 + 4 + 1 + 8 + 8 + 8 + 8 + 1;

export interface StandbyStatus {
  readonly receivedLsn: Lsn;
  /** The slot's position moves here: everything before it is never sent again. */
  readonly confirmedLsn: Lsn;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  readonly wantsAnswer: boolean;
}

/** The whole CopyData frame. */
export function standbyStatusFrame({ receivedLsn, confirmedLsn, nowMs, wantsAnswer }: StandbyStatus): Buffer {
  const frame = Buffer.allocUnsafe(STATUS_BYTES);
  let at = frame.writeUInt8(0x64, 0);
  at = frame.writeUInt32BE(STATUS_BYTES - 1, at);
  at = frame.writeUInt8(0x72, at);
  at = frame.writeBigUInt64BE(receivedLsn, at);
  at = frame.writeBigUInt64BE(confirmedLsn, at);
  at = frame.writeBigUInt64BE(confirmedLsn, at);
  at = frame.writeBigInt64BE(BigInt(Math.trunc(nowMs)) * 1000n - POSTGRES_EPOCH_MICROS, at);
  frame.writeUInt8(wantsAnswer ? 1 : 0, at);
  return frame;
}
