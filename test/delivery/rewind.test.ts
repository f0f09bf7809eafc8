import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rewind } from '../../src/delivery/rewind.ts';
import { comparePositions, type Position } from '../../src/model/change.ts';

// The law: after a rewind exactly the transactions of the range are unacknowledged that were acknowledged before.

const at = (commitLsn: number, lsn = 1): Position => ({ commitLsn: BigInt(commitLsn), lsn: BigInt(lsn), ordinal: 0 });

type Acknowledged = Parameters<typeof rewind>[0];

function isAcknowledged({ cursor, acknowledged }: Acknowledged, position: Position): boolean {
  if (cursor !== null && comparePositions(position, cursor) <= 0) return true;
  return acknowledged.some(
    ({ first, last }) => comparePositions(position, first) >= 0 && comparePositions(position, last) <= 0,
  );
}

test('what is in the range comes again, and nothing else', () => {
  const before: Acknowledged = {
    cursor: at(50, 7),
    acknowledged: [
      { first: at(60), last: at(70, 9) },
      { first: at(80), last: at(80) },
    ],
  };
  for (const [from, to] of [
    [0, null],
    [1, null],
    [30, null],
    [30, 40],
    [50, 50],
    [55, 59],
    [60, 65],
    [65, 85],
    [90, null],
    [0, 10],
  ] as const) {
    const after = rewind(before, BigInt(from), to === null ? null : BigInt(to)) ?? before;
    for (let commit = 1; commit <= 100; commit++) {
      for (const lsn of [1, 7, 9, 20]) {
        const position = at(commit, lsn);
        const isInRange = commit >= from && (to === null || commit <= to);
        assert.equal(
          isAcknowledged(after, position),
          isAcknowledged(before, position) && !isInRange,
          `${from} to ${to}: ${commit}/${lsn}`,
        );
      }
    }
  }
});

test('nothing of it was acknowledged: nothing changes', () => {
  assert.equal(rewind({ cursor: null, acknowledged: [] }, 0n, null), null);
  assert.equal(rewind({ cursor: at(50), acknowledged: [] }, 51n, null), null);
});
