import type { MISSING, PredicateFault, Verdict } from './compile.ts';

export type RowOperation = 'insert' | 'update' | 'delete';

/** Why a verdict is in doubt: a value that was not sent, or what Postgres would have raised. */
export type Doubt = typeof MISSING | PredicateFault;

export interface FilteredChange {
  /** What the change is to those who see the filtered rows alone. */
  readonly operation: RowOperation | 'dropped';
  /** Null where the filter is sure. A change in doubt is never dropped: the doubt is to be counted and shown. */
  readonly doubt: Doubt | null;
}

const SURE: Readonly<Record<FilteredChange['operation'], FilteredChange>> = {
  insert: { operation: 'insert', doubt: null },
  update: { operation: 'update', doubt: null },
  delete: { operation: 'delete', doubt: null },
  dropped: { operation: 'dropped', doubt: null },
};

/**
 * What a WHERE makes of a change, out of its verdicts on the old row and the new one (null for the row that the operation
 * does not have): false and unknown drop it, an UPDATE that enters the filter is an INSERT, one that leaves it a DELETE.
 * https://www.postgresql.org/docs/current/logical-replication-row-filter.html#LOGICAL-REPLICATION-ROW-FILTER-TRANSFORMATIONS
 *
 * In doubt the receiver is told more rather than less: an UPDATE whose new row is certainly outside goes as a DELETE, any
 * other as what it is.
 */
export function filterRow(operation: RowOperation, old: Verdict, row: Verdict): FilteredChange {
  if (operation === 'insert') return single('insert', row);
  if (operation === 'delete') return single('delete', old);
  const before = doubtOf(old);
  const after = doubtOf(row);
  if (before !== null || after !== null) {
    const leaves = after === null && row !== true;
    return { operation: leaves ? 'delete' : 'update', doubt: before ?? after };
  }
  if (row === true) return old === true ? SURE.update : SURE.insert;
  return old === true ? SURE.delete : SURE.dropped;
}

/** What a WHEN makes of a change: it passes where the verdict is true, and in doubt. */
export function filterWhen(operation: RowOperation, verdict: Verdict): FilteredChange {
  return single(operation, verdict);
}

function single(operation: RowOperation, verdict: Verdict): FilteredChange {
  const doubt = doubtOf(verdict);
  if (doubt !== null) return { operation, doubt };
  return verdict === true ? SURE[operation] : SURE.dropped;
}

function doubtOf(verdict: Verdict): Doubt | null {
  return verdict === true || verdict === false || verdict === null ? null : verdict;
}
