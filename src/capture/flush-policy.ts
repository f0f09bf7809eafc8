/** A chunk is logged when it has this many bytes… */
export const CHUNK_BYTES = 256 * 1024;
/** …or when this much time has passed since the last one, in the middle of a transaction that is still coming in. */
export const CHUNK_AGE_MS = 5;

export interface FlushInput {
  /** Bytes of whole frames. */
  readonly bytes: number;
  readonly isTransactionOpen: boolean;
}

/**
 * What to do with what has been received once there is nothing more to read: `log` it; `wait` for more, up to
 * `CHUNK_AGE_MS`. Whole transactions are logged at once: while the disk works, the next ones gather, so that the busier
 * the server is, the more of them share a commit.
 */
export function flushDecision({ bytes, isTransactionOpen }: FlushInput): 'nothing' | 'wait' | 'log' {
  if (bytes === 0) return 'nothing';
  return bytes < CHUNK_BYTES && isTransactionOpen ? 'wait' : 'log';
}
