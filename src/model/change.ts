import type { Lsn } from '../postgres/lsn.ts';

/**
 * Where a change stands: its transaction's commit LSN, the LSN of its own WAL record, and its ordinal among the changes
 * of that record (COPY writes many rows with one). Ordered by the three in turn; the same change has the same position
 * however often it is received.
 */
export interface Position {
  readonly commitLsn: Lsn;
  readonly lsn: Lsn;
  readonly ordinal: number;
}

/** Negative where `a` stands before `b`, 0 where they are the same, positive after. */
export function comparePositions(a: Position, b: Position): number {
  if (a.commitLsn !== b.commitLsn) return a.commitLsn < b.commitLsn ? -1 : 1;
  if (a.lsn !== b.lsn) return a.lsn < b.lsn ? -1 : 1;
  return a.ordinal - b.ordinal;
}

/** What identifies the history that LSNs belong to: part of every event id. */
export interface SourceIdentity {
  /** `IDENTIFY_SYSTEM`'s systemid: a 64-bit number in decimal. */
  readonly systemId: string;
  readonly databaseOid: number;
  /** How often its history was found to be another than the one captured before; absent: never. */
  readonly epoch?: number;
}
