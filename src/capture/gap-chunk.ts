import { must } from '../base/assert.ts';
import type { ChunkDraft } from '../log/change-log.ts';
import { describeTables, GAP_COLUMNS, GAP_RELATION, type Gap } from '../model/gap.ts';
import type { CommitMark } from '../log/chunk.ts';
import { formatLsn, parseLsn, type Lsn } from '../postgres/lsn.ts';
import { relationMessage, SyntheticFrames } from '../postgres/synthetic-frames.ts';

/** OIDs of `text`, `pg_lsn` and `timestamptz`. */
const COLUMN_TYPES: Readonly<Record<(typeof GAP_COLUMNS)[number], number>> = {
  id: 25,
  reason: 25,
  message: 25,
  from_lsn: 3220,
  to_lsn: 3220,
  detected_at: 1184,
  tables: 25,
};

const DEFINITION = relationMessage({
  ...GAP_RELATION,
  replicaIdentity: 'd',
  columns: GAP_COLUMNS.map((name) => ({ name, typeOid: COLUMN_TYPES[name], typeModifier: -1, isKey: name === 'id' })),
});

/**
 * The gap as a chunk: right before the first change that can follow it, and with nothing open, as what was begun before the
 * gap does not go on behind it.
 */
export function gapChunk(gap: Gap): ChunkDraft {
  const toLsn = must(parseLsn(gap.toLsn ?? ''), 'capture has begun anew');
  const mark = { commitLsn: toLsn - 1n, commitTimeMicros: BigInt(gap.atMs) * 1000n, xid: 0 };
  return chunkOf(gap, mark, toLsn);
}

/**
 * The gap of some tables as a chunk, where the mark stands; the log has everything else from before it and goes on behind it.
 * What may be confirmed then, whoever appends it says.
 */
export function gapChunkAt(gap: Gap, mark: CommitMark): ChunkDraft {
  return chunkOf({ ...gap, toLsn: formatLsn(mark.commitLsn) }, mark, mark.commitLsn);
}

function chunkOf(gap: Gap, { commitLsn, commitTimeMicros: micros, xid }: CommitMark, endLsn: Lsn): ChunkDraft {
  const values: Record<(typeof GAP_COLUMNS)[number], string | null> = {
    id: gap.id,
    reason: gap.reason,
    message: gap.message,
    from_lsn: gap.fromLsn,
    to_lsn: gap.toLsn ?? '',
    // As Postgres would write it, with datestyle ISO and the time zone UTC.
    detected_at: `${new Date(gap.atMs).toISOString().replace('T', ' ').replace('Z', '')}+00`,
    tables: gap.tables === undefined ? null : describeTables(gap.tables),
  };
  const frames = new SyntheticFrames();
  frames.begin(commitLsn, micros, xid);
  frames.relation(DEFINITION);
  frames.insert(
    commitLsn,
    GAP_RELATION.oid,
    GAP_COLUMNS.map((name) => values[name]),
  );
  frames.commit(commitLsn, endLsn, micros);
  return {
    open: null,
    last: { commitLsn, lsn: commitLsn, ordinal: 0 },
    confirmLsn: endLsn,
    firstCommitMicros: micros,
    lastCommit: null,
    relations: [{ oid: GAP_RELATION.oid, definition: null, changes: 1 }],
    changes: 1,
    data: frames.finish(),
  };
}
