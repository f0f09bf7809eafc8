import type { ChunkDraft } from '../log/change-log.ts';
import type { Backfill } from '../model/backfill.ts';
import type { Page, TableFacts } from './backfill-table.ts';
import type { Mark } from './chunk-builder.ts';
import { relationMessage, SyntheticFrames } from '../postgres/synthetic-frames.ts';

/** A page, and what it was read for. */
export interface ReadPage {
  readonly backfill: Backfill;
  readonly facts: TableFacts;
  readonly read: Page;
}

/** These rows of the page as a transaction of their own, right where the mark's is. */
export function backfillChunk(
  { backfill: { id, streamId }, facts: { relation }, read }: ReadPage,
  rows: readonly number[],
  { commitLsn, commitTimeMicros, xid }: Mark,
): ChunkDraft {
  const frames = new SyntheticFrames();
  frames.begin(commitLsn, commitTimeMicros, xid);
  frames.relation(relationMessage(relation));
  for (const row of rows) frames.insertRow(commitLsn, relation.oid, read.rows.bytes, row);
  frames.commit(commitLsn, commitLsn, commitTimeMicros);
  return {
    open: null,
    last: { commitLsn, lsn: commitLsn, ordinal: rows.length - 1 },
    // The intake says it.
    confirmLsn: 0n,
    firstCommitMicros: commitTimeMicros,
    lastCommit: null,
    relations: [{ oid: relation.oid, definition: null, changes: rows.length }],
    backfill: { id, streamId },
    changes: rows.length,
    data: frames.finish(),
  };
}
