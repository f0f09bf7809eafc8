import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acknowledgedRanges } from '../../src/delivery/acknowledged-ranges.ts';

const at = (n: number) => ({ commitLsn: BigInt(n), lsn: BigInt(n), ordinal: 0 });
const range = (first: number, last: number) => ({ first: at(first), last: at(last) });

test('what an earlier life acknowledged is kept beside what this one has', () => {
  assert.deepEqual(acknowledgedRanges([range(15, 16)], [range(21, 21)], at(9)), [range(15, 16), range(21, 21)]);
});

test('ranges that the cursor has passed are gone', () => {
  assert.deepEqual(acknowledgedRanges([range(15, 16), range(30, 31)], [range(21, 21)], at(21)), [range(30, 31)]);
});

test('a run that spans an earlier range swallows it', () => {
  assert.deepEqual(acknowledgedRanges([range(15, 16)], [range(12, 20)], null), [range(12, 20)]);
  assert.deepEqual(acknowledgedRanges([range(12, 20)], [range(15, 25)], null), [range(12, 25)]);
});
