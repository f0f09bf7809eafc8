import type { Lsn } from '../postgres/lsn.ts';

/** Which of a stream's events are sent again: of transactions that committed from there on. */
export type ReplayRange =
  /** Microseconds since 1970. */
  | { readonly kind: 'since'; readonly micros: bigint }
  /** `to` is included; null: up to now. */
  | { readonly kind: 'lsn'; readonly from: Lsn; readonly to: Lsn | null };
