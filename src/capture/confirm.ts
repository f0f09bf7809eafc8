import type { Lsn } from '../postgres/lsn.ts';

/** What is known when a position is to be confirmed. */
export interface ConfirmState {
  /** Everything before it is in the log, durably, or was there nothing to log. */
  readonly durableLsn: Lsn;
  /** The server's position as its last message told it; everything before it was sent to us before that message. */
  readonly serverLsn: Lsn;
  /** Bytes received that are not durable yet. */
  readonly pendingBytes: number;
  /** A transaction has begun and its commit has not been received. */
  readonly isTransactionOpen: boolean;
}

/**
 * The LSN that may be confirmed to the server: never beyond what the log has made durable. Where nothing is pending,
 * everything that the server has passed was of no interest, and an idle database need not pin its WAL.
 */
export function confirmableLsn({ durableLsn, serverLsn, pendingBytes, isTransactionOpen }: ConfirmState): Lsn {
  const isPending = pendingBytes > 0 || isTransactionOpen;
  return isPending || serverLsn < durableLsn ? durableLsn : serverLsn;
}
