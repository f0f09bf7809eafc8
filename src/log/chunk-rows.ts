import type { BackfillOf } from '../model/backfill.ts';
import type { Position } from '../model/change.ts';
import type { ChunkHeader, ChunkRelation, OpenTransaction } from './chunk.ts';

/** The columns of `chunk` that make a header, in order. */
export const HEADER_COLUMNS = [
  'id',
  'open_commit_lsn',
  'open_commit_micros',
  'open_xid',
  'open_seq',
  'open_last_lsn',
  'open_last_ordinal',
  'last_commit_lsn',
  'last_lsn',
  'last_ordinal',
  'confirm_lsn',
  'first_commit_micros',
  'relations',
  'changes',
  'bytes',
] as const;

/** A row as better-sqlite3 gives it with safe integers: every integer a bigint. */
export type HeaderRow = Record<Exclude<(typeof HEADER_COLUMNS)[number], 'relations'>, bigint | null> & {
  readonly relations: string;
};

type RelationTuple = [oid: number, version: number | null, changes: number];

/** A column more would stand behind the blob, and reading headers would read it all. */
type StoredRelations =
  | readonly RelationTuple[]
  | { readonly backfill: BackfillOf; readonly relations: readonly RelationTuple[] };

/** LSNs and times go as bigints: SQLite's integers are 64 bits wide and signed, and no WAL reaches 2^63. */
export function headerToRow(header: ChunkHeader): unknown[] {
  const { open, last } = header;
  const relations = header.relations.map(({ oid, version, changes }): RelationTuple => [oid, version, changes]);
  return [
    header.id,
    open?.commitLsn ?? null,
    open?.commitTimeMicros ?? null,
    open?.xid ?? null,
    open?.seq ?? null,
    open?.lastLsn ?? null,
    open?.lastOrdinal ?? null,
    last?.commitLsn ?? null,
    last?.lsn ?? null,
    last?.ordinal ?? null,
    header.confirmLsn,
    header.firstCommitMicros,
    JSON.stringify(header.backfill === null ? relations : { backfill: header.backfill, relations }),
    header.changes,
    header.bytes,
  ];
}

export function rowToHeader(row: HeaderRow): ChunkHeader {
  const stored = JSON.parse(row.relations) as StoredRelations;
  const [backfill, relations] = 'backfill' in stored ? [stored.backfill, stored.relations] : [null, stored];
  return {
    id: Number(row.id),
    open: openOf(row),
    last: lastOf(row),
    confirmLsn: row.confirm_lsn ?? 0n,
    firstCommitMicros: row.first_commit_micros,
    relations: relations.map(([oid, version, changes]): ChunkRelation => ({ oid, version, changes })),
    backfill,
    changes: Number(row.changes),
    bytes: Number(row.bytes),
  };
}

/** `ChunkHeader.last` of a row. */
export function lastOf(row: Pick<HeaderRow, 'last_commit_lsn' | 'last_lsn' | 'last_ordinal'>): Position | null {
  if (row.last_commit_lsn === null || row.last_lsn === null) return null;
  return { commitLsn: row.last_commit_lsn, lsn: row.last_lsn, ordinal: Number(row.last_ordinal) };
}

function openOf(row: HeaderRow): OpenTransaction | null {
  if (row.open_commit_lsn === null) return null;
  return {
    commitLsn: row.open_commit_lsn,
    commitTimeMicros: row.open_commit_micros ?? 0n,
    xid: Number(row.open_xid),
    seq: Number(row.open_seq),
    lastLsn: row.open_last_lsn ?? 0n,
    lastOrdinal: Number(row.open_last_ordinal),
  };
}
