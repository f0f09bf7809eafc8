import type { PositionRange } from '../log/delivery-store.ts';
import { comparePositions, type Position } from '../model/change.ts';

/**
 * What is finished beyond `cursor`: what an earlier life had stored, whose events this life skips and so knows nothing
 * of, and the runs of this life. Ascending; ranges that touch or overlap are one. Without the earlier ones a second
 * restart would send their events again, after newer ones of the same key.
 */
export function acknowledgedRanges(
  stored: readonly PositionRange[],
  runs: readonly PositionRange[],
  cursor: Position | null,
): PositionRange[] {
  const merged: PositionRange[] = [];
  const all = [...stored, ...runs].sort((a, b) => comparePositions(a.first, b.first));
  for (const range of all) {
    if (cursor !== null && comparePositions(range.last, cursor) <= 0) continue;
    const before = merged.at(-1);
    if (before === undefined || comparePositions(range.first, before.last) > 0) merged.push(range);
    else if (comparePositions(range.last, before.last) > 0) merged[merged.length - 1] = { ...before, last: range.last };
  }
  return merged;
}

/** Single positions, as ranges. One that is also among `others` is not finished: several events share it. */
export function rangesOf(positions: readonly Position[], others: readonly Position[]): PositionRange[] {
  const open = new Set(others.map(keyOf));
  return positions.filter((position) => !open.has(keyOf(position))).map((first) => ({ first, last: first }));
}

function keyOf({ commitLsn, lsn, ordinal }: Position): string {
  return `${commitLsn}/${lsn}/${ordinal}`;
}
