import { qualify } from '../postgres/identifier.ts';

/**
 * Why changes were lost. With `other-history` the server is not where it was: it was restored, or forked; with
 * `table-unpublished` some tables alone had left the publication.
 */
export type GapReason =
  | 'slot-missing'
  | 'slot-lost'
  | 'slot-ahead'
  | 'publication-missing'
  | 'table-unpublished'
  | 'other-history';

/** A table that a gap is of. */
export interface GapTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

/** A stretch of the upstream's history that cannot be read any more. */
export interface Gap {
  readonly id: string;
  readonly reason: GapReason;
  /** What was found, in a sentence. */
  readonly message: string;
  /** Up to where the log is complete, as an LSN in text. */
  readonly fromLsn: string;
  /** From where on it is again; null: capture has not begun anew. */
  readonly toLsn: string | null;
  readonly atMs: number;
  /** Of which tables changes are lost; absent: of all. */
  readonly tables?: readonly GapTable[];
}

/**
 * In the log a gap is a change as any other: an insert into `cdc.gap`, which every stream meets in its place. The OID is one
 * that no table has (those of tables begin at 16384; this one names no system catalog).
 */
export const GAP_RELATION = { oid: 1, schema: 'cdc', name: 'gap' } as const;

/** The columns of `cdc.gap`, in order. */
export const GAP_COLUMNS = ['id', 'reason', 'message', 'from_lsn', 'to_lsn', 'detected_at', 'tables'] as const;

/** For people. */
export function describeGap({ message, fromLsn, toLsn, tables }: Gap): string {
  const of = tables === undefined ? '' : ` of ${describeTables(tables)}`;
  const until = toLsn === null ? '' : ` and before ${toLsn}`;
  return `changes${of} after ${fromLsn}${until} are lost: ${message}`;
}

/** Their names, as one writes them in SQL. */
export function describeTables(tables: readonly GapTable[]): string {
  return tables.map(({ schema, name }) => qualify(schema, name)).join(', ');
}
