import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from '../../src/delivery/token-bucket.ts';

// Over any time no more than the rate, one bucket and the last amount.

function bucketOf(perSecond: number): TokenBucket {
  const bucket = new TokenBucket();
  bucket.configure(perSecond);
  return bucket;
}

test('ten a second come evenly', () => {
  const bucket = bucketOf(10);
  let nowMs = 5_000;
  const at = [];
  for (let i = 0; i < 4; i++) {
    nowMs = Math.max(nowMs, bucket.readyAtMs(nowMs));
    at.push(nowMs);
    bucket.spend(1, nowMs);
  }
  assert.deepEqual(at, [5_000, 5_100, 5_200, 5_300]);
});

test('what is larger than the bucket goes, and is paid off', () => {
  const bucket = bucketOf(1_000);
  assert.equal(bucket.readyAtMs(0), 0);
  bucket.spend(5_050, 0);
  assert.equal(bucket.readyAtMs(0), 5_001);
  assert.equal(bucket.readyAtMs(5_001), 5_001);
});

test('a pause saves up no more than a bucket', () => {
  const bucket = bucketOf(100);
  bucket.readyAtMs(0);
  let sent = 0;
  while (bucket.readyAtMs(1_000_000) <= 1_000_000) {
    bucket.spend(1, 1_000_000);
    sent++;
  }
  assert.equal(sent, 5);
});

test('a clock that is set back gives nothing away and holds nothing up for long', () => {
  const bucket = bucketOf(10);
  bucket.readyAtMs(1_000_000);
  bucket.spend(1, 1_000_000);
  assert.equal(bucket.readyAtMs(0), 100);
  assert.equal(bucket.readyAtMs(100), 100);
});

test('0 is unlimited', () => {
  const bucket = bucketOf(0);
  bucket.spend(1e9, 7);
  assert.ok(bucket.readyAtMs(7) <= 7);
});
