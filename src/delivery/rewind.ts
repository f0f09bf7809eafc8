import type { PositionRange } from '../log/delivery-store.ts';
import { comparePositions, type Position } from '../model/change.ts';
import type { Lsn } from '../postgres/lsn.ts';

/** What a stream has acknowledged: everything up to the cursor, and ranges beyond it, ascending. */
export interface Acknowledged {
  readonly cursor: Position | null;
  readonly acknowledged: readonly PositionRange[];
}

const LAST_LSN = 2n ** 64n - 1n;
const LAST_ORDINAL = 2 ** 32 - 1;

/**
 * The same without the transactions that committed from `from` to `to` (null: all of them): what a replay sends again. Null
 * where nothing of them was acknowledged.
 */
export function rewind({ cursor, acknowledged }: Acknowledged, from: Lsn, to: Lsn | null): Acknowledged | null {
  if (cursor === null) return null;
  const before = endBefore(from);
  const behind = to === null ? null : { commitLsn: to + 1n, lsn: 0n, ordinal: 0 };
  const pieces: PositionRange[] = [{ first: { commitLsn: 0n, lsn: 0n, ordinal: 0 }, last: cursor }, ...acknowledged];
  const kept = pieces.flatMap((piece) => [
    ...between(piece, null, before),
    ...(behind === null ? [] : between(piece, behind, null)),
  ]);
  const isSame = ({ first, last }: PositionRange, other: PositionRange): boolean =>
    comparePositions(first, other.first) === 0 && comparePositions(last, other.last) === 0;
  const hasChanged = pieces.length !== kept.length || pieces.some((piece, i) => !isSame(piece, kept[i]!));
  if (!hasChanged) return null;
  const [first, ...rest] = kept;
  // Nothing at all is before the beginning.
  if (first === undefined || first.first.commitLsn !== 0n) return { cursor: null, acknowledged: kept };
  return { cursor: first.last, acknowledged: rest };
}

/** The last position before the transactions that commit at `lsn`. */
function endBefore(lsn: Lsn): Position | null {
  return lsn === 0n ? null : { commitLsn: lsn - 1n, lsn: LAST_LSN, ordinal: LAST_ORDINAL };
}

/** The part of a range from `from` (null: its beginning) to `to`, or nothing; a `to` of null with no `from` is nothing too. */
function between({ first, last }: PositionRange, from: Position | null, to: Position | null): PositionRange[] {
  if (from === null && to === null) return [];
  const start = from !== null && comparePositions(from, first) > 0 ? from : first;
  const end = to !== null && comparePositions(to, last) < 0 ? to : last;
  return comparePositions(start, end) <= 0 ? [{ first: start, last: end }] : [];
}
