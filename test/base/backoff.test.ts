import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from '../../src/base/backoff.ts';
import type { Random } from '../../src/base/random.ts';

// Each wait is twice the one before, up to the most there is, and as much as a fifth longer or shorter.

const always = (value: number): Random => ({ float: () => value, bytes: (length) => new Uint8Array(length) });
const waits = (value: number): number[] =>
  [0, 1, 2, 3, 4, 5, 1_000].map((retry) => backoffMs({ initialMs: 100, maxMs: 1_000 }, retry, always(value)));

test('waits double up to the most there is', () => {
  assert.deepEqual(waits(0.5), [100, 200, 400, 800, 1_000, 1_000, 1_000]);
});

test('waits are up to a fifth shorter or longer, as chance has it', () => {
  assert.deepEqual(waits(0), [80, 160, 320, 640, 800, 800, 800]);
  assert.deepEqual(waits(1), [120, 240, 480, 960, 1_200, 1_200, 1_200]);
});
