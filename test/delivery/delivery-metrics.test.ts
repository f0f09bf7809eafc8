import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeliveryMetrics } from '../../src/delivery/delivery-metrics.ts';
import type { Outcome } from '../../src/sinks/sink.ts';

const NOW_MS = 1_000_000;

test('attempts are told apart by class and code, never by more', () => {
  const metrics = new DeliveryMetrics();
  const refused = { class: 'transient', code: 'connection_refused', reason: 'r', retryAfterMs: null } as const;
  const outcomes: Exclude<Outcome, { class: 'cancelled' }>[] = [
    { class: 'ok', status: 204, failed: [] },
    { class: 'ok', status: 200, failed: [] },
    { ...refused, status: 503 },
    { ...refused, status: null },
    { ...refused, class: 'overloaded', status: 429 },
  ];
  for (const outcome of outcomes) metrics.attempt(outcome, 100, 20);
  const { attempts, attemptSeconds, bytesSent } = metrics.measures();
  assert.deepEqual(
    attempts.map(({ outcomeClass, code, count }) => `${outcomeClass} ${code} ${count}`),
    ['ok 2xx 2', 'transient 5xx 1', 'transient none 1', 'overloaded 429 1'],
  );
  assert.equal(attemptSeconds.count, 5);
  assert.equal(bytesSent, 500);
});

test('the way from commit to acknowledgement is counted for each event, and not for replays', () => {
  const metrics = new DeliveryMetrics();
  const event = (agoMs: number, isReplay = false): { commitMs: number; isReplay: boolean } => ({
    commitMs: NOW_MS - agoMs,
    isReplay,
  });
  metrics.acknowledged([event(20), event(20), event(5_000), event(9_000_000, true), event(-5)], NOW_MS);
  const { count, sum } = metrics.measures().endToEndSeconds;
  assert.deepEqual([count, Math.round(sum * 1000)], [4, 5_040]);
});
