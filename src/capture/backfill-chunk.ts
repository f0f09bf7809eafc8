import type { ChunkDraft } from '../log/change-log.ts';
import type { Backfill } from '../model/backfill.ts';
import type { Page, TableFacts } from './backfill-table.ts';
import type { Mark } from './chunk-builder.ts';
import { relationMessage, type SyntheticFrames } from '../postgres/synthetic-frames.ts';

/** A page, and what it was read for. */
export interface ReadPage {
  readonly backfill: Backfill;
  readonly facts: TableFacts;
  readonly read: Page;
}

/** Rows of a page, each by its offset. */
export interface SomeRows extends Iterable<number> {
  readonly count: number;
}

/**
 * These rows of the page as a transaction of their own, right where the mark's is, written into `frames`: they are the
 * draft's until `frames` is written to again.
 */
export function backfillChunk(
  { backfill: { id, streamId }, facts: { relation }, read }: ReadPage,
  rows: SomeRows,
  { commitLsn, commitTimeMicros, xid }: Mark,
  frames: SyntheticFrames,
): ChunkDraft {
  frames.clear();
  frames.begin(commitLsn, commitTimeMicros, xid);
  frames.relation(relationMessage(relation));
  frames.insertRows(commitLsn, relation.oid, read.rows.bytes, rows);
  frames.commit(commitLsn, commitLsn, commitTimeMicros);
  return {
    open: null,
    last: { commitLsn, lsn: commitLsn, ordinal: rows.count - 1 },
    // The intake says it.
    confirmLsn: 0n,
    firstCommitMicros: commitTimeMicros,
    lastCommit: null,
    relations: [{ oid: relation.oid, definition: null, changes: rows.count }],
    backfill: { id, streamId },
    changes: rows.count,
    data: frames.finish(),
  };
}
