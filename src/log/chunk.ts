import type { BackfillOf } from '../model/backfill.ts';
import type { Position } from '../model/change.ts';
import type { Lsn } from '../postgres/lsn.ts';

/*
  The log is a sequence of chunks. A chunk's data is a run of whole CopyData frames of XLogData exactly as the walsender
  sent them (see postgres/pgoutput.ts), keepalives left out. Its header holds what the frames alone do not tell, so that
  any chunk can be decoded without the ones before it.
*/

/** The transaction that a chunk begins in the middle of, as it stood there. */
export interface OpenTransaction {
  readonly commitLsn: Lsn;
  /** Microseconds since 1970-01-01 UTC. */
  readonly commitTimeMicros: bigint;
  readonly xid: number;
  /** The transaction's changes before this point; the next one's `seq`. */
  readonly seq: number;
  /** The own LSN of the change before this point, and its ordinal there; 0 and -1 before the first change. */
  readonly lastLsn: Lsn;
  readonly lastOrdinal: number;
}

/** What tells one committed transaction from any other, also from one of another history at the same place. */
export interface CommitMark {
  readonly commitLsn: Lsn;
  /** Microseconds since 1970-01-01 UTC. */
  readonly commitTimeMicros: bigint;
  readonly xid: number;
}

/** A relation that a chunk's changes name, with the definition that holds where the chunk begins. */
export interface ChunkRelation {
  readonly oid: number;
  /** Row of the log's table of relation definitions; null where the chunk itself defines it before its first use. */
  readonly version: number | null;
  /** How many changes of the chunk are of this relation (a TRUNCATE counts once for each). */
  readonly changes: number;
}

export interface ChunkHeader {
  /** Ascending, without gaps while nothing is trimmed. */
  readonly id: number;
  readonly open: OpenTransaction | null;
  /** Position of the chunk's last change; of an earlier chunk's where this one has none; null before the first ever. */
  readonly last: Position | null;
  /** What may be confirmed to Postgres once this chunk is durable: the end of the last whole transaction. */
  readonly confirmLsn: Lsn;
  /** Commit time of the chunk's first change, microseconds since 1970; null where it has no change. */
  readonly firstCommitMicros: bigint | null;
  readonly relations: readonly ChunkRelation[];
  /** Whose backfill has read the rows, which are for that stream alone; null: changes, as they came. */
  readonly backfill: BackfillOf | null;
  readonly changes: number;
  readonly bytes: number;
}

/** A chunk as it is read. `relationMessages` has the Relation message bytes of each non-null version in the header. */
export interface Chunk {
  readonly header: ChunkHeader;
  readonly data: Buffer;
  readonly relationMessages: ReadonlyMap<number, Buffer>;
}
