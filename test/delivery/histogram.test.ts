import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Histogram } from '../../src/base/histogram.ts';

test('a value counts at its bound and all above it, one beyond all bounds in the whole count alone', () => {
  const histogram = new Histogram([1, 10]);
  assert.deepEqual(histogram.counts(), { bounds: [1, 10], upTo: [0, 0], count: 0, sum: 0 });
  for (const value of [0, 1, 1.5, 10, 11]) histogram.add(value);
  histogram.add(2, 3);
  assert.deepEqual(histogram.counts(), { bounds: [1, 10], upTo: [2, 7], count: 8, sum: 29.5 });
});
